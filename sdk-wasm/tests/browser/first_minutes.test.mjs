// A page and its user, in Chromium.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { Pages } from './pages.mjs';

let marketplace, pages;
before(async () => {
  marketplace = await startMarketplace();
  pages = await Pages.begin(marketplace.url);
});
after(async () => {
  await pages?.end();
  await marketplace?.stop();
});

const setUp = () => ({ url: marketplace.url, solution: marketplace.solution().id });

test('a page under a strict policy validates its user, and what they do is counted', async () => {
  const page = await pages.open(await pages.context());
  const pair = await marketplace.tokenPair('cus_ravi');
  const told = await page.evaluate(
    async ([options, { accessToken }]) => {
      const sdk = new globalThis.marketplace.MarketplaceSDK(options);
      const user = await sdk.validateUser(accessToken);
      const context = await sdk.getUserContext(accessToken);
      const receipt = await sdk.trackUsage(accessToken, 'view', { quantity: 3 });
      await receipt.delivered;
      const quota = await sdk.quota(accessToken, 'search');
      const { usage } = await sdk.close();
      return { user, context, id: receipt.id, quota, usage, offset: sdk.stats().clockOffsetMs };
    },
    [setUp(), pair],
  );
  assert.equal(told.user.customerId, 'cus_ravi');
  assert.equal(told.user.verified, 'local');
  assert.equal(told.context.customerId, 'cus_ravi');
  assert.match(told.id, /^evt_/);
  assert.equal(told.quota.used, 0);
  assert.equal(told.usage.delivered, 1);
  assert.equal(await marketplace.used('cus_ravi', 'view'), 3);
  assert.deepEqual(page.complaints, []);
});

test('a forged token is refused by the browser’s own cryptography', async () => {
  const page = await pages.open(await pages.context());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const at = accessToken.lastIndexOf('.') + 1;
  const forged = accessToken.slice(0, at) + (accessToken[at] === 'A' ? 'B' : 'A');
  const code = await page.evaluate(
    ([options, token]) =>
      new globalThis.marketplace.MarketplaceSDK(options).validateUser(token).then(
        () => 'let in',
        (error) => error.code,
      ),
    [setUp(), forged + accessToken.slice(at + 1)],
  );
  assert.equal(code, 'token_signature_invalid');
});

test('a page’s error has its code and what follows from it, and the words for it once they are asked for', async () => {
  const page = await pages.open(await pages.context());
  const told = await page.evaluate(async (options) => {
    const { ErrorHandler, MarketplaceSDK, UserRefusedError } = globalThis.marketplace;
    const sdk = new MarketplaceSDK(options);
    const refused = () => sdk.validateUser('garbage').catch((error) => error);
    const of = ({ code, message, advice, refusesUser, retryable }) => {
      return { code, message, advice, refusesUser, retryable };
    };
    const bare = await refused();
    const isRefusal = bare instanceof UserRefusedError && ErrorHandler.refusesUser(bare);
    const late = await sdk
      .withOptions({ deadlineMs: 0 })
      .refreshToken({})
      .catch((error) => error);
    const before = of(bare);
    await import('/prose.js');
    const worded = of(await refused());
    const advice = ErrorHandler.adviceOn('closed');
    await sdk.close();
    return { bare: before, isRefusal, late: late.code, worded, advice };
  }, setUp());
  assert.deepEqual(told.bare, {
    code: 'token_malformed',
    message: 'token_malformed: docs/errors.md#token_malformed',
    advice: 'See docs/errors.md#token_malformed',
    refusesUser: true,
    retryable: false,
  });
  assert.ok(told.isRefusal);
  assert.equal(told.late, 'request_invalid');
  assert.match(told.worded.message, /^token_malformed: This is not a token/);
  assert.match(told.worded.advice, /^Pass the access token/);
  assert.match(told.advice, /build another one/);
  assert.deepEqual(page.complaints, []);
});

test('a browser that has no Ed25519 refuses nobody: it says that it can’t tell', async () => {
  const page = await pages.open(await pages.context());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const told = await page.evaluate(
    async ([options, token]) => {
      SubtleCrypto.prototype.importKey = () =>
        Promise.reject(new DOMException('Unrecognized name.', 'NotSupportedError'));
      const { ErrorHandler, MarketplaceSDK } = globalThis.marketplace;
      const error = await new MarketplaceSDK(options).validateUser(token).catch((error) => error);
      return { code: error.code, refuses: ErrorHandler.refusesUser(error) };
    },
    [setUp(), accessToken],
  );
  assert.deepEqual(told, { code: 'signature_unverifiable', refuses: false });
});

test('a page knows the marketplace’s clock, which its own is far from', async () => {
  const page = await pages.open(await pages.context());
  await marketplace.advanceClock(86_400_000);
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const told = await page.evaluate(
    async ([options, token]) => {
      const sdk = new globalThis.marketplace.MarketplaceSDK(options);
      const { customerId } = await sdk.validateUser(token);
      return { customerId, offset: sdk.stats().clockOffsetMs };
    },
    [setUp(), accessToken],
  );
  assert.equal(told.customerId, 'cus_ravi');
  assert.ok(told.offset > 86_000_000, `${told.offset} ms`);
});

test('a client takes no secret key, and has nothing that needs one', async () => {
  const page = await pages.open(await pages.context());
  const told = await page.evaluate(
    ([options, secretKey]) => {
      const { MarketplaceSDK, AuthManager } = globalThis.marketplace;
      let refusal;
      try {
        new MarketplaceSDK({ ...options, secretKey });
      } catch ({ name, code, message }) {
        refusal = { name, code, message };
      }
      const has = ['consume', 'revokeToken', 'usageHistory', 'diagnose', 'closeOnSignal'];
      const calls = has.filter((call) => call in MarketplaceSDK.prototype);
      return { refusal, calls, revokes: 'revokeToken' in AuthManager.prototype };
    },
    [setUp(), marketplace.solution().secretKey],
  );
  assert.equal(told.refusal.name, 'ConfigError');
  assert.equal(told.refusal.code, 'config_invalid');
  assert.match(told.refusal.message, /belongs on a server/);
  assert.ok(!told.refusal.message.includes(marketplace.solution().secretKey));
  assert.deepEqual(told.calls, []);
  assert.equal(told.revokes, false);
});
