// What becomes of usage when a program ends, whichever way it does.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { folder } from './folder.mjs';

const PROGRAMS = path.join(import.meta.dirname, 'programs');

let marketplace;
before(async () => (marketplace = await startMarketplace()));
after(() => marketplace.stop());

/** Runs a program to its end; what it printed, by line, and how it ended. */
async function run(name, { customer, spool, onLine }) {
  const { accessToken } = await marketplace.tokenPair(customer);
  const spooled = { CLOUDNESTLE_SPOOL_DIR: spool, TOKEN: accessToken };
  const env = { ...process.env, ...marketplace.environment(), ...spooled };
  const program = spawn(process.execPath, [path.join(PROGRAMS, name)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = [];
  program.stdout.setEncoding('utf8').on('data', (text) => {
    for (const line of text.split('\n').filter(Boolean)) {
      lines.push(line);
      onLine?.(line, program);
    }
  });
  const [code, signal] = await new Promise((resolve) =>
    program.once('exit', (...ended) => resolve(ended)),
  );
  return { lines, code, signal };
}

test('a program that comes to its natural end has delivered its usage', async () => {
  const { code } = await run('ends.mjs', { customer: 'cus_ravi', spool: folder('ends') });
  assert.equal(code, 0);
  assert.equal(await marketplace.used('cus_ravi', 'search'), 10);
});

test(
  'a program that ends in an outage ends, and leaves its usage to the next',
  { timeout: 60_000 }, // it may not end
  async () => {
    const spool = folder('outage');
    const used = await marketplace.used('cus_ravi', 'search');
    const { code } = await run('ends_in_an_outage.mjs', { customer: 'cus_ravi', spool });
    assert.equal(code, 0);
    const next = new MarketplaceSDK(marketplace.options({ spool: { dir: spool } }));
    await next.flush();
    await next.close();
    assert.equal(await marketplace.used('cus_ravi', 'search'), used + 10);
  },
);

test('an idle sdk keeps no program alive', async () => {
  const { code, lines } = await run('idles.mjs', { customer: 'cus_asha', spool: folder('idles') });
  assert.equal(code, 0);
  assert.deepEqual(lines, ['validated']);
});

test('what a killed program had acknowledged is delivered by the next', async () => {
  const spool = folder('killed');
  const { signal } = await run('tracks.mjs', {
    customer: 'cus_asha',
    spool,
    onLine: (line, program) => line === 'tracked' && program.kill('SIGKILL'),
  });
  assert.equal(signal, 'SIGKILL');
  const next = new MarketplaceSDK(marketplace.options({ spool: { dir: spool } }));
  await next.flush();
  await next.close();
  assert.equal(await marketplace.used('cus_asha', 'search'), 5);
});

test('a program that is asked to end delivers first', async () => {
  const spool = folder('asked');
  const { signal } = await run('closes_on_signal.mjs', {
    customer: 'cus_meera',
    spool,
    onLine: (line, program) => line === 'tracked' && program.kill('SIGTERM'),
  });
  assert.equal(signal, 'SIGTERM');
  assert.equal(await marketplace.used('cus_meera', 'search'), 5);
});

test('who closes while nobody answers leaves everything to the next', async () => {
  const spool = { dir: folder('silent') };
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const used = await marketplace.used('cus_ravi', 'search');
  const fetch = (input, init) =>
    String(input).endsWith('/api/track-usage')
      ? new Promise(() => undefined)
      : globalThis.fetch(input, init);
  const sdk = new MarketplaceSDK({ ...marketplace.options({ spool }), fetch });
  for (let event = 0; event < 5; event += 1) await sdk.trackUsage(accessToken, 'search');
  const report = await sdk.close(100);
  assert.deepEqual([report.usage.pending, report.usage.delivered], [5, 0]);

  const next = new MarketplaceSDK(marketplace.options({ spool }));
  await next.flush();
  assert.equal(await marketplace.used('cus_ravi', 'search'), used + 5);
  await next.close();
});

test('many SDKs of one program are no leak, and each delivers at its end', async () => {
  const used = await marketplace.used('cus_asha', 'search');
  const { code, lines } = await run('many.mjs', { customer: 'cus_asha', spool: folder('many') });
  assert.deepEqual([code, lines], [0, []]);
  assert.equal(await marketplace.used('cus_asha', 'search'), used + 20);
});
