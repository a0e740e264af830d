// What calls have in common: options, events, receipts, and that nothing secret is shown.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { inspect } from 'node:util';
import {
  ErrorHandler,
  MarketplaceSDK,
  QuotaExceededError,
  UserRefusedError,
} from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';

let marketplace;
before(async () => (marketplace = await startMarketplace()));
after(() => marketplace.stop());

const never = () => new Promise(() => undefined);

test('a call that is aborted rejects with the reason, and the SDK goes on', async () => {
  let isHanging = true;
  const fetch = (...request) => (isHanging ? never() : globalThis.fetch(...request));
  const sdk = new MarketplaceSDK({ ...marketplace.options(), fetch });
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const abort = new AbortController();
  const call = sdk.validateUser(accessToken, { signal: abort.signal });
  abort.abort(new Error('changed my mind'));
  await assert.rejects(call, /changed my mind/);
  await assert.rejects(sdk.quotas('cus_ravi', { signal: abort.signal }), /changed my mind/);
  isHanging = false;
  assert.equal((await sdk.quotas('cus_ravi')).length > 0, true);
  sdk[Symbol.dispose]();
});

test('a call keeps its deadline, or that of all calls', async () => {
  const sdk = new MarketplaceSDK({ ...marketplace.options(), fetch: never });
  const late = { code: 'deadline_exceeded', retryable: true };
  await assert.rejects(sdk.quotas('cus_ravi', { deadlineMs: 20 }), late);
  await assert.rejects(sdk.withOptions({ deadlineMs: 20 }).quotas('cus_ravi'), late);
  sdk[Symbol.dispose]();
});

test('who lets go of an SDK leaves nobody waiting', async () => {
  const sdk = new MarketplaceSDK({ ...marketplace.options(), fetch: never });
  const open = assert.rejects(sdk.quotas('cus_ravi'), { code: 'closed' });
  sdk[Symbol.dispose]();
  await open;
  await assert.rejects(sdk.quotas('cus_ravi'), { code: 'closed' });
});

test('a user is remembered without a request, and forgotten when the token is revoked', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const first = await sdk.validateUser(accessToken);
  const { requests } = sdk.stats();
  const again = await sdk.validateUser(accessToken);
  assert.deepEqual({ ...again, ageMs: 0 }, { ...first, ageMs: 0 });
  assert.equal(sdk.stats().requests, requests);
  await sdk.revokeToken(accessToken);
  await assert.rejects(sdk.validateUser(accessToken), (error) => {
    assert.ok(error instanceof UserRefusedError);
    assert.equal(error.code, 'token_revoked');
    assert.ok(ErrorHandler.refusesUser(error));
    return true;
  });
  await sdk.close();
});

test('what the marketplace rejects is told by the receipt, by an event, and by nobody else', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const rejected = new Promise((resolve) => sdk.once('usageRejected', resolve));
  const metadata = { job_name: 'nightly' };
  const receipt = await sdk.trackUsage(accessToken, 'serach', { metadata });
  void receipt.delivered; // looked at by nobody: no unhandled rejection
  await sdk.flush();
  const { event, code, kept: isKept } = await rejected;
  assert.equal(code, 'action_unknown');
  assert.equal(isKept, true);
  assert.equal(event.id, receipt.id);
  assert.deepEqual(event.metadata, metadata);
  await assert.rejects(receipt.delivered, { code: 'action_unknown' });
  const [kept] = await sdk.rejectedUsage();
  assert.equal(kept.event.action, 'serach');
  await sdk.close();
});

test('who is denied is told of what, and until when', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await assert.rejects(sdk.consume(accessToken, 'export', { quantity: 1_000_000 }), (error) => {
    assert.ok(error instanceof QuotaExceededError);
    assert.equal(error.denial.action, 'export');
    assert.ok(Date.parse(error.denial.resetsAt) > Date.now());
    return true;
  });
  await sdk.close();
});

test('what somebody does again is noted at once, and is the same event in every other way', async () => {
  const sdk = new MarketplaceSDK({ ...marketplace.options(), spool: 'memory' });
  const { accessToken } = await marketplace.tokenPair('cus_meera');
  const used = await marketplace.used('cus_meera', 'search');
  const metadata = { job: 'n\u00e4ht\nly', pages: 3, share: 0.5, cached: true, parent: null };
  const calls = [
    [{}, 1],
    [{ quantity: 3, metadata }, 3],
    [{ idempotencyKey: 'job-17', quantity: 2 }, 2],
    [{ idempotencyKey: 'job-17', quantity: 2 }, 0],
  ];
  const receipts = [];
  // The first is noted in the long way: nobody knows the token.
  for (const [options] of [[{ metadata }], ...calls]) {
    receipts.push(await sdk.trackUsage(accessToken, 'search', options));
  }
  await Promise.all(receipts.map(({ persisted }) => persisted));
  await Promise.all(receipts.map(({ delivered }) => delivered));
  const sum = calls.reduce((sum, [, counts]) => sum + counts, 1);
  assert.equal(await marketplace.used('cus_meera', 'search'), used + sum);
  const ids = receipts.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  const events = [];
  for await (const event of sdk.usageEvents('cus_meera')) events.push(event);
  for (const id of [ids[0], ids[2]]) {
    assert.deepEqual(events.find((event) => event.id === id).metadata, metadata);
  }

  const wrong = await receipts[2].reference();
  await sdk.trackUsage(accessToken, 'search', { voids: wrong });
  await sdk.flush();
  assert.equal(await marketplace.used('cus_meera', 'search'), used + sum - 3);
  await assert.rejects(sdk.trackUsage(accessToken, ''), { code: 'request_invalid' });
  await assert.rejects(sdk.trackUsage(accessToken, 'search', { metadata: { deep: {} } }), {
    code: 'metadata_invalid',
  });
  const signal = AbortSignal.abort(new Error('changed my mind'));
  await assert.rejects(sdk.trackUsage(accessToken, 'search', { signal }), /changed my mind/);
  const hurried = sdk.withOptions({ signal });
  await assert.rejects(hurried.trackUsage(accessToken, 'search'), /changed my mind/);
  await sdk.close();
  await assert.rejects(sdk.trackUsage(accessToken, 'search'), { code: 'closed' });
});

test('what is no quantity is out of bounds', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  for (const quantity of [0, -1, 1.5, 2e9, Number.NaN, Number.POSITIVE_INFINITY]) {
    await assert.rejects(sdk.trackUsage(accessToken, 'search', { quantity }), {
      code: 'quantity_invalid',
    });
  }
  await assert.rejects(sdk.validateUser(undefined), { code: 'request_invalid' });
  await sdk.close();
});

test('nothing that is printed holds a secret', async () => {
  const options = marketplace.options();
  const sdk = new MarketplaceSDK(options);
  const pair = await marketplace.tokenPair('cus_ravi');
  const source = sdk.keepFresh(pair);
  await source.accessToken();
  const receipt = await sdk.trackUsage(pair.accessToken, 'search');
  const error = await sdk.validateUser(`${pair.accessToken}x`).catch((thrown) => thrown);
  const secrets = [options.secretKey, pair.accessToken, pair.refreshToken];
  for (const thing of [sdk, sdk.auth, source, receipt, error, await sdk.diagnose()]) {
    const printed = inspect(thing, { depth: 9, showHidden: true }) + JSON.stringify(thing);
    for (const secret of secrets) assert.ok(!printed.includes(secret), printed);
  }
  await sdk.close();
});

test('a key that was replaced while the program runs is asked for, and used', async () => {
  let asked = 0;
  const { secretKey } = marketplace.solution();
  const sdk = new MarketplaceSDK({
    ...marketplace.options(),
    secretKey: 'cnsk_test_thisIsNoKeyOfTheMarketplace00000000',
    secretKeyProvider: async () => {
      asked += 1;
      return secretKey;
    },
  });
  assert.ok((await sdk.quotas('cus_ravi')).length > 0);
  assert.ok((await sdk.quotas('cus_ravi')).length > 0);
  assert.equal(asked, 1);
  await sdk.close();
});
