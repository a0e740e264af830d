// What a program that goes on for long holds: no more than after a while.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

const instances = [];
const { Instance } = WebAssembly;
WebAssembly.Instance = class extends Instance {
  constructor(...of) {
    super(...of);
    instances.push(this);
  }
};

/** What the heap may differ by that is nobody's: code that was compiled meanwhile, for one. */
const NOISE = 2 * 1024 * 1024;

test('a million calls leave no more behind than a hundred thousand', async () => {
  const marketplace = await startMarketplace();
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const some = async (calls) => {
    for (let call = 0; call < calls; call += 1) {
      await sdk.validateUser(accessToken);
      if (call % 20 > 0) continue;
      await sdk.trackUsage(accessToken, 'search');
      if (call % 10_000 === 0) await sdk.flush();
    }
    await sdk.flush();
    await new Promise((resolve) => setImmediate(resolve)); // who waited for the last has been told
    collect();
    const exported = Object.values(instances[0].exports);
    const memory = exported.find((one) => one instanceof WebAssembly.Memory);
    return {
      pages: memory.buffer.byteLength / 65_536,
      heap: process.memoryUsage().heapUsed,
    };
  };
  const early = await some(100_000);
  const late = await some(900_000);
  assert.equal(late.pages, early.pages, 'pages of WebAssembly');
  assert.ok(late.heap < early.heap + NOISE, `${early.heap} bytes became ${late.heap}`);
  assert.equal(sdk.stats().usage.delivered, 50_000);
  await sdk.close();
  await marketplace.stop();
});
