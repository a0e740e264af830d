// Functions that are frozen once they have answered: delivery is handed to what the platform waits for.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';

/** Where Vercel keeps the request that is being answered, as `@vercel/functions` reads it. */
const VERCEL = Symbol.for('@vercel/request-context');

let marketplace;
before(async () => (marketplace = await startMarketplace()));
after(() => marketplace.stop());
afterEach(() => delete globalThis[VERCEL]);

/** How often usage was sent. */
async function batches() {
  const asked = await marketplace.journal();
  return asked.filter(({ operation }) => operation === 'POST /api/track-usage').length;
}

/** A request of a function, and what it was handed to wait for. */
function request() {
  const waiting = [];
  return { waiting, context: { waitUntil: (delivery) => waiting.push(delivery) } };
}

test('on Vercel each request waits for what was noted in it, and all of it is sent once', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await sdk.validateUser(accessToken);
  const before = await batches();
  const requests = [request(), request()];
  for (const { context } of requests) {
    globalThis[VERCEL] = { get: () => context };
    await sdk.trackUsage(accessToken, 'search');
  }
  for (const { waiting } of requests) {
    assert.equal(waiting.length, 1);
    await waiting[0];
  }
  assert.equal(await marketplace.used('cus_ravi', 'search'), 2);
  assert.equal((await batches()) - before, 1);
  await sdk.close();
});

test('what is noted after a delivery has begun has another', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_asha');
  const { waiting, context } = request();
  globalThis[VERCEL] = { get: () => context };
  await sdk.trackUsage(accessToken, 'search');
  await waiting[0];
  await sdk.trackUsage(accessToken, 'search');
  await waiting[1];
  assert.notEqual(waiting[0], waiting[1]);
  assert.equal(await marketplace.used('cus_asha', 'search'), 2);
  await sdk.close();
});

test('what a program hands in comes first, and a delivery that fails is no unhandled rejection', async () => {
  const { waiting, context } = request();
  const mine = [];
  globalThis[VERCEL] = { get: () => context };
  const sdk = new MarketplaceSDK(
    marketplace.options({ waitUntil: (delivery) => mine.push(delivery) }),
  );
  const { accessToken } = await marketplace.tokenPair('cus_meera');
  await sdk.consume(accessToken, 'search');
  assert.deepEqual([mine.length, waiting.length], [1, 0]);
  sdk[Symbol.dispose]();
  await mine[0];
});

test('where there is no request, nobody waits', async () => {
  globalThis[VERCEL] = { get: () => undefined };
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_meera');
  await sdk.trackUsage(accessToken, 'search');
  await sdk.close();
  assert.equal(await marketplace.used('cus_meera', 'search'), 1);
});

test('what can wait for nothing costs no event, and nobody is told to try again', async () => {
  const waitUntil = () => {
    throw new TypeError('Illegal invocation');
  };
  const sdk = new MarketplaceSDK(marketplace.options({ waitUntil }));
  const { accessToken } = await marketplace.tokenPair('cus_asha');
  const used = await marketplace.used('cus_asha', 'search');
  const { delivered } = await sdk.trackUsage(accessToken, 'search');
  await sdk.flush();
  await delivered;
  assert.equal(await marketplace.used('cus_asha', 'search'), used + 1);
  await sdk.close();
});

test('close goes by its own deadline, and not by that of all calls', async () => {
  const mine = [];
  const fetch = (input, init) =>
    String(input).endsWith('/api/track-usage')
      ? Promise.reject(new TypeError('fetch failed'))
      : globalThis.fetch(input, init);
  const waitUntil = (delivery) => mine.push(delivery);
  const options = marketplace.options({ spool: 'memory', waitUntil });
  const sdk = new MarketplaceSDK({ ...options, fetch });
  const { accessToken } = await marketplace.tokenPair('cus_asha');
  await sdk.trackUsage(accessToken, 'search');
  const report = await sdk.withOptions({ deadlineMs: 1 }).close(100);
  assert.equal(report.usage.pending, 1);
  await mine[0];
});

test('who wants to be told once may change their mind', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_asha');
  let told = 0;
  const listener = () => (told += 1);
  sdk.once('usageDelivered', listener).off('usageDelivered', listener);
  await sdk.trackUsage(accessToken, 'search');
  await sdk.flush();
  await sdk.close();
  assert.equal(told, 0);
});

test('a spool or a durability that is none of ours is refused, and not taken for another', () => {
  for (const options of [{ spool: '/var/spool' }, { durability: 'Durable' }]) {
    assert.throws(() => new MarketplaceSDK(marketplace.options(options)), {
      code: 'config_invalid',
    });
  }
});
