// What a program without types may pass: it is refused by its own call, and nobody else's is lost for it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';

let marketplace;
before(async () => (marketplace = await startMarketplace()));
after(() => marketplace.stop());

test('what is no pair is refused, and the core has no part in it', async () => {
  const sdk = new MarketplaceSDK(marketplace.options({ spool: 'memory' }));
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await sdk.validateUser(accessToken);
  await marketplace.setOutage(true);
  await sdk.trackUsage(accessToken, 'search'); // which a core that failed would take along
  for (const pair of [undefined, null, 7, 'pair', {}, Symbol('pair'), { accessToken: 7n }]) {
    await assert.rejects(sdk.refreshToken(pair), { code: 'request_invalid' });
    assert.throws(() => sdk.keepFresh(pair), { code: 'request_invalid' });
  }
  await marketplace.setOutage(false);
  assert.equal((await sdk.close()).usage.delivered, 1);
});

test('what has no form in JSON is refused, and so is what is no time', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const circle = {};
  circle.of = circle;
  for (const metadata of [circle, { big: 1n }]) {
    for (const call of ['trackUsage', 'consume', 'trackUsage']) {
      const refused = sdk[call](accessToken, 'search', { metadata });
      await assert.rejects(refused, { code: 'request_invalid' });
    }
    await sdk.trackUsage(accessToken, 'search');
  }
  const history = sdk.usageHistory('cus_ravi', { since: new Date(NaN) });
  await assert.rejects(history.next(), { code: 'request_invalid' });
  assert.equal((await sdk.close()).usage.delivered, 2);
});

test('what is no record of facts is judged alike of whom the SDK knows and of whom it does not', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  for (const metadata of [null, 'text', 7, [1]]) {
    const { accessToken } = await marketplace.tokenPair('cus_ravi');
    const outcome = async () => {
      try {
        await sdk.trackUsage(accessToken, 'search', { metadata });
        return 'taken';
      } catch (error) {
        return error.code ?? error;
      }
    };
    const ofNobodyKnown = await outcome();
    await sdk.trackUsage(accessToken, 'search');
    assert.equal(await outcome(), ofNobodyKnown, JSON.stringify(metadata));
  }
  await sdk.close();
});

test('a fetch of the program’s own may have headers that are no texts', async () => {
  const fetch = async (input, init) => {
    const { status, headers, body } = await globalThis.fetch(input, init);
    return { status, headers: new Map([...headers, ['x-attempt', 7]]), body };
  };
  const sdk = new MarketplaceSDK({ ...marketplace.options(), fetch });
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  assert.equal((await sdk.validateUser(accessToken)).customerId, 'cus_ravi');
  await sdk.close();
});

test('a spool that is no folder is not taken for the usual one', () => {
  for (const spool of [{}, { dir: '' }, { dir: 7 }, 7, '/var/spool']) {
    const options = marketplace.options({ spool });
    assert.throws(() => new MarketplaceSDK(options), { code: 'config_invalid' });
  }
});
