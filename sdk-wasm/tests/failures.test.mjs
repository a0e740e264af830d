// What becomes of calls when the core fails: by a trap, as a panic is one, and by a platform without a clock, which
// leaves the core in the middle of what it did.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { folder } from './folder.mjs';

let marketplace;
before(async () => (marketplace = await startMarketplace()));
afterEach(() => marketplace.setOutage(false));
after(() => marketplace.stop());

const instances = [];
const { Instance } = WebAssembly;
WebAssembly.Instance = class extends Instance {
  constructor(...of) {
    super(...of);
    instances.push(this);
  }
};

/** An instance's memory, whatever it is called. */
const memoryOf = ({ exports }) =>
  Object.values(exports).find((exported) => exported instanceof WebAssembly.Memory);

/** Has the core find nothing of what it had in its memory, in the middle of the next call: it traps, as a panic does. */
async function trapped(work) {
  performance.now = () => {
    new Uint8Array(memoryOf(instances.at(-1)).buffer).fill(0xff);
    return 0;
  };
  try {
    return await work();
  } finally {
    delete performance.now;
  }
}

/** Has the next call into the core fail in the middle. */
async function broken(work) {
  performance.now = () => {
    throw new Error('no clock');
  };
  try {
    return await work();
  } finally {
    delete performance.now;
  }
}

test('a core that fails rejects what is open, begins anew, and has lost nothing', async () => {
  const spool = { dir: folder('failing') };
  const sdk = new MarketplaceSDK(marketplace.options({ spool }));
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await sdk.validateUser(accessToken);

  await marketplace.setOutage(true);
  for (let event = 0; event < 3; event += 1) await sdk.trackUsage(accessToken, 'search');
  const earlier = await sdk.trackUsage(accessToken, 'search');
  const open = assert.rejects(sdk.flush(), { code: 'internal', name: 'UnavailableError' });
  await broken(() => assert.rejects(sdk.trackUsage(accessToken, 'search'), { code: 'internal' }));
  await open;

  await marketplace.setOutage(false);
  const user = await sdk.validateUser(accessToken);
  assert.equal(user.customerId, 'cus_ravi');
  await sdk.trackUsage(accessToken, 'search');
  await sdk.flush();
  assert.equal(await marketplace.used('cus_ravi', 'search'), 5);
  await assert.rejects(earlier.delivered, { code: 'internal' });
  assert.equal((await sdk.close()).usage.pending, 0);
});

test('a core that traps is another one by the next call, and has lost nothing that was in files', async () => {
  const spool = { dir: folder('trapping') };
  const sdk = new MarketplaceSDK(marketplace.options({ spool }));
  const { accessToken } = await marketplace.tokenPair('cus_asha');
  await sdk.validateUser(accessToken);
  await marketplace.setOutage(true);
  for (let event = 0; event < 3; event += 1) await sdk.trackUsage(accessToken, 'search');
  const open = assert.rejects(sdk.flush(), { code: 'internal' });
  const error = await trapped(() => sdk.createVisitor().catch((error) => error));
  assert.equal(error.code, 'internal');
  assert.ok(error.cause instanceof WebAssembly.RuntimeError, String(error.cause));
  await open;
  await marketplace.setOutage(false);
  await sdk.trackUsage(accessToken, 'search');
  await sdk.flush();
  assert.equal(await marketplace.used('cus_asha', 'search'), 4);
  await sdk.close();
});

test('what waited in memory is lost with the core, and that is said', async () => {
  const sdk = new MarketplaceSDK(marketplace.options({ spool: 'memory' }));
  const { accessToken } = await marketplace.tokenPair('cus_meera');
  const dropped = [];
  sdk.on('usageDropped', (event) => dropped.push(event));
  await sdk.trackUsage(accessToken, 'search');
  await sdk.flush();
  await marketplace.setOutage(true);
  await sdk.trackUsage(accessToken, 'search');
  await sdk.trackUsage(accessToken, 'search');
  const open = sdk.flush().catch((error) => error);
  await trapped(() => assert.rejects(sdk.createVisitor(), { code: 'internal' }));
  assert.match((await open).message, /2 events were in memory/);
  assert.deepEqual(dropped, [{ count: 2, reason: 'damaged' }]);
  await marketplace.setOutage(false);
  await sdk.trackUsage(accessToken, 'search');
  await sdk.close();
  assert.equal(await marketplace.used('cus_meera', 'search'), 2);
});

test('other SDKs of the program begin anew, too', async () => {
  const first = new MarketplaceSDK(marketplace.options());
  const second = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await second.validateUser(accessToken);
  await broken(() => assert.rejects(first.createVisitor(), { code: 'internal' }));
  assert.equal((await second.validateUser(accessToken)).customerId, 'cus_ravi');
  await first.validateUser(accessToken);
  await first.close();
  await second.close();
});

test('a stack that is full in the middle of a call is survived', async () => {
  // Node's own account of its timers may not survive it: what keeps this program running is no timer.
  const running = createServer().listen(0);
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const used = await marketplace.used('cus_ravi', 'search');
  await sdk.validateUser(accessToken);
  // A call that fails where there is no room to wait for it, either, is a rejection that nobody has.
  const strict = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', () => undefined);
  const calls = [];
  const deeper = () => {
    try {
      deeper();
    } catch {
      // From here on the way back there is ever more room.
    }
    if (calls.length < 100) calls.push(sdk.trackUsage(accessToken, 'search'));
  };
  try {
    deeper();
  } catch {
    // There was not even room for the call.
  }
  const failed = (await Promise.allSettled(calls)).filter(({ status }) => status === 'rejected');
  assert.ok(failed.length > 0, 'nothing was put to the test');
  await sdk.trackUsage(accessToken, 'search');
  await sdk.flush();
  assert.ok((await marketplace.used('cus_ravi', 'search')) > used);
  await sdk.close();
  process.removeAllListeners('unhandledRejection');
  for (const listener of strict) process.on('unhandledRejection', listener);
  running.close();
});
