// The spool's files: who owns a log when Node has no file lock.
import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { folder } from './folder.mjs';

let marketplace;
before(async () => (marketplace = await startMarketplace()));
after(() => marketplace.stop());

const never = () => new Promise(() => undefined);

/** The folders of the logs in a spool. */
function logs(dir) {
  const [principal] = readdirSync(dir);
  const below = path.join(dir, principal);
  return readdirSync(below)
    .filter((name) => name.startsWith('prd_'))
    .map((name) => path.join(below, name));
}

/** An SDK that delivers nothing, with an event in its log. */
async function holding(dir, customer) {
  const { accessToken } = await marketplace.tokenPair(customer);
  const fetch = (input, init) =>
    String(input).endsWith('/api/track-usage') ? never() : globalThis.fetch(input, init);
  const sdk = new MarketplaceSDK({ ...marketplace.options({ spool: { dir } }), fetch });
  await sdk.trackUsage(accessToken, 'search');
  return sdk;
}

test('a log is for its owner alone, in folders and files nobody else can read', async () => {
  const dir = folder('alone');
  const owner = await holding(dir, 'cus_ravi');
  const other = new MarketplaceSDK(marketplace.options({ spool: { dir } }));
  await other.flush();
  assert.equal(await marketplace.used('cus_ravi', 'search'), 0);
  const [log] = logs(dir);
  assert.equal(statSync(log).mode & 0o777, 0o700);
  for (const name of readdirSync(log)) {
    assert.equal(statSync(path.join(log, name)).mode & 0o777, 0o600, name);
  }
  owner[Symbol.dispose]();
  await other.flush();
  assert.equal(await marketplace.used('cus_ravi', 'search'), 1);
  await other.close();
  assert.deepEqual(logs(dir), []);
});

test('the log of a process that is gone is taken over though its id is used again', async () => {
  const dir = folder('again');
  const owner = await holding(dir, 'cus_asha');
  const [log] = logs(dir);
  const lock = readFileSync(path.join(log, 'lock'), 'utf8');
  owner[Symbol.dispose]();
  // As a process of another beginning has left it, of which only the id is ours.
  const stranger = { ...JSON.parse(lock), began: '1' };
  writeFileSync(path.join(log, 'lock'), JSON.stringify(stranger));
  const next = new MarketplaceSDK(marketplace.options({ spool: { dir } }));
  await next.flush();
  assert.equal(await marketplace.used('cus_asha', 'search'), 1);
  await next.close();
});

test('the log of another machine is taken over when nobody has touched it for a minute', async () => {
  const dir = folder('machine');
  const owner = await holding(dir, 'cus_meera');
  const [log] = logs(dir);
  const file = path.join(log, 'lock');
  const lock = readFileSync(file, 'utf8');
  owner[Symbol.dispose]();
  writeFileSync(file, JSON.stringify({ ...JSON.parse(lock), machine: 'elsewhere' }));
  const next = new MarketplaceSDK(marketplace.options({ spool: { dir } }));
  await next.flush();
  assert.equal(await marketplace.used('cus_meera', 'search'), 0);
  const longAgo = Date.now() / 1000 - 61;
  utimesSync(file, longAgo, longAgo);
  await next.flush();
  assert.equal(await marketplace.used('cus_meera', 'search'), 1);
  await next.close();
});

test('who has lost its lock begins another log before it acknowledges more', async () => {
  const dir = folder('lost');
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const sdk = new MarketplaceSDK(marketplace.options({ spool: { dir } }));
  await sdk.trackUsage(accessToken, 'search');
  await sdk.flush();
  const [log] = logs(dir);
  // As who takes a log over does it.
  writeFileSync(`${log}/lock.taking`, '{}');
  renameSync(`${log}/lock.taking`, `${log}/lock`);
  await sleep(150); // longer than a process takes a log for its own without looking
  const before = await marketplace.used('cus_ravi', 'search');
  const refused = await sdk.trackUsage(accessToken, 'search').catch((error) => error);
  if (refused instanceof Error) {
    assert.equal(refused.code, 'spool_failed');
    await sdk.trackUsage(accessToken, 'search');
  }
  await sdk.flush();
  assert.equal(await marketplace.used('cus_ravi', 'search'), before + 1);
  assert.equal(logs(dir).length, 2);
  sdk[Symbol.dispose]();
});

test('threads of one process have logs of their own', async () => {
  const dir = folder('threads');
  const owner = await holding(dir, 'cus_ravi');
  const used = await marketplace.used('cus_ravi', 'search');
  const program = `
    import('@cloudnestle/marketplace-sdk').then(async ({ MarketplaceSDK }) => {
      const sdk = new MarketplaceSDK(${JSON.stringify(marketplace.options({ spool: { dir } }))});
      await sdk.flush();
      await sdk.close();
    });`;
  const worker = new Worker(program, { eval: true });
  await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  assert.equal(await marketplace.used('cus_ravi', 'search'), used);
  owner[Symbol.dispose]();
});

test('a disk that cannot be written is an alarm, and usage goes to memory', async () => {
  const dir = folder('readonly');
  mkdirSync(dir);
  chmodSync(dir, 0o500);
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  // Root may write everywhere, and nobody nowhere.
  const isRoot = process.geteuid() === 0;
  if (isRoot) process.seteuid('nobody');
  try {
    const sdk = new MarketplaceSDK(marketplace.options({ spool: { dir } }));
    const told = new Promise((resolve) => sdk.once('spoolInMemory', resolve));
    await sdk.trackUsage(accessToken, 'search');
    assert.equal((await told).error.code, 'spool_failed');
    await sdk.close();
  } finally {
    if (isRoot) process.seteuid(0);
  }
});
