// What is left of an SDK that was closed: its last figures, and nothing that runs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';

let marketplace;
before(async () => (marketplace = await startMarketplace()));
after(() => marketplace.stop());

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

test('a closed SDK knows what it did, and may be closed again', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const { delivered } = await sdk.trackUsage(accessToken, 'search');
  const report = await sdk.close();
  await delivered;
  assert.equal(report.usage.delivered, 1);
  assert.deepEqual(sdk.stats().usage, report.usage);
  assert.deepEqual(sdk.toJSON().stats.usage, report.usage);
  assert.deepEqual(await sdk.close(), report);
  await assert.rejects(sdk.validateUser(accessToken), { code: 'closed' });
});

test('the newest pair is there although the SDK was closed', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const pair = await marketplace.tokenPair('cus_ravi');
  const source = sdk.keepFresh(pair);
  await marketplace.advanceClock(2_000);
  const renewed = await source.replace(pair.accessToken);
  await sdk.close();
  assert.equal(source.pair.accessToken, renewed);
});

test('nothing holds an SDK that was closed', { timeout: 20_000 }, async () => {
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const use = async () => {
    const fetch = (input, init) => globalThis.fetch(input, init);
    const sdk = new MarketplaceSDK(marketplace.options({ fetch }));
    await sdk.validateUser(accessToken);
    await sdk.trackUsage(accessToken, 'search');
    await sdk.close();
    return new WeakRef(fetch); // which whatever is left of the SDK has
  };
  const closed = await Promise.all(Array.from({ length: 10 }, use));
  while (closed.some((fetch) => fetch.deref() !== undefined)) {
    await turn();
    collect();
  }
});

test('a delivery that a function waits for ends with the SDK, and spins in nobody’s turn', async (t) => {
  const deliveries = [];
  const down = () => Promise.reject(new TypeError('fetch failed'));
  const fetch = (input, init) =>
    String(input).endsWith('/api/track-usage') ? down() : globalThis.fetch(input, init);
  const waitUntil = (delivery) => deliveries.push(delivery);
  const sdk = new MarketplaceSDK(marketplace.options({ fetch, waitUntil }));
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await sdk.trackUsage(accessToken, 'search');
  const looked = t.mock.method(Date, 'now');
  assert.equal((await sdk.close(200)).usage.pending, 1);
  await Promise.all(deliveries);
  assert.ok(
    looked.mock.callCount() < 200,
    `it looked at the clock ${looked.mock.callCount()} times`,
  );
});
