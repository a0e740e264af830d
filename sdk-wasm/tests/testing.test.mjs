// The marketplace that others test with.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { inspect, promisify } from 'node:util';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import {
  MarketplaceCallError,
  connectMarketplace,
  startMarketplace,
} from '@cloudnestle/marketplace-sdk/testing';
import { folder } from './folder.mjs';

const PACKAGE = path.join(import.meta.dirname, '../node_modules/@cloudnestle/marketplace-sdk');

test('a test sees what was counted, and what the marketplace was asked', async () => {
  const marketplace = await startMarketplace();
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await marketplace.inject({ on: 'POST /api/track-usage', reset: 'after_commit' });
  await sdk.trackUsage(accessToken, 'search', { quantity: 3, metadata: { job_name: 'nightly' } });
  await sdk.flush();

  assert.equal(await marketplace.used('cus_ravi', 'search'), 3);
  const [event] = await marketplace.countedEvents('cus_ravi');
  assert.deepEqual([event.counts, event.metadata], [3, { job_name: 'nightly' }]);
  const asked = await marketplace.journal();
  const batches = asked.filter(({ operation }) => operation === 'POST /api/track-usage');
  assert.deepEqual(
    batches.map(({ status, fault }) => [status, fault]),
    [
      [null, 'flt_1: reset after_commit'],
      [200, undefined],
    ],
  );
  assert.deepEqual(await marketplace.faultsLeft(), []);
  await sdk.close();
  await marketplace.stop();
});

test('the ledger is read to its end, however long it is', async () => {
  const marketplace = await startMarketplace();
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  for (let event = 0; event < 250; event += 1) await sdk.trackUsage(accessToken, 'index');
  await sdk.close();
  assert.equal((await marketplace.countedEvents('cus_ravi')).length, 250);
  await marketplace.stop();
});

test('a test moves the clock: a token is good until it has ended', async () => {
  const marketplace = await startMarketplace();
  const sdk = new MarketplaceSDK(marketplace.options({ validation: 'online' }));
  const { accessToken, expiresAt } = await marketplace.tokenPair('cus_ravi');
  const left = Date.parse(expiresAt) - (await marketplace.now()).getTime();
  await sdk.validateUser(accessToken);
  await marketplace.advanceClock(left + 60_000);
  await assert.rejects(sdk.validateUser(accessToken), { code: 'token_expired' });
  await marketplace.setClock('2031-01-01T00:00:00Z');
  assert.equal((await marketplace.now()).getUTCFullYear(), 2031);
  await sdk.close();
  await marketplace.stop();
});

test('a world shares nothing with its server, and is forgotten when it is stopped', async () => {
  const marketplace = await startMarketplace();
  const wanted = { id: 'wld_again', seed: 7, now: '2031-05-06T12:00:00Z', frozen: true };
  const tells = async () => {
    const world = await marketplace.createWorld(wanted);
    const { accessToken } = await world.tokenPair('cus_ravi');
    const sdk = new MarketplaceSDK(world.options());
    assert.equal((await sdk.validateUser(accessToken)).customerId, 'cus_ravi');
    await sdk.trackUsage(accessToken, 'search');
    await sdk.close();
    assert.equal(await world.used('cus_ravi', 'search'), 1);
    const connected = await connectMarketplace(world);
    assert.deepEqual(await connected.now(), new Date(wanted.now));
    await world.stop();
    await world.stop();
    return [world.solution().secretKey, accessToken];
  };
  assert.deepEqual(await tells(), await tells());
  assert.equal(await marketplace.used('cus_ravi', 'search'), 0);
  const founding = { solutions: [], surplus: 1 };
  await assert.rejects(marketplace.createWorld({ founding }), { code: 'request_invalid' });
  await marketplace.stop();
});

test('the clock says what happened on the way, stands still, and runs', async () => {
  const marketplace = await startMarketplace();
  await marketplace.freezeClock();
  const began = '2031-05-06T12:00:00.000Z';
  await marketplace.setClock(began);
  await marketplace.tokenPair('cus_ravi');
  const [first] = await marketplace.advanceToNextEvent();
  assert.equal(first.task, 'token_expires');
  assert.match(first.tokenId, /^tok_/);
  assert.deepEqual(await marketplace.advanceClock(60_000), []);
  assert.equal((await marketplace.now()).toISOString(), '2031-05-06T12:16:00.000Z');
  await marketplace.setClock(began);
  await marketplace.scaleClock(100_000);
  while ((await marketplace.now()) < new Date('2031-05-06T13:00:00Z'));
  await marketplace.stop();
});

test('a test goes back to a snapshot, branches from it, and begins anew', async () => {
  const marketplace = await startMarketplace();
  const sdk = new MarketplaceSDK(marketplace.options());
  const unused = await marketplace.snapshot('snp_unused');
  assert.equal(unused, 'snp_unused');
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await sdk.trackUsage(accessToken, 'search');
  await sdk.close();
  const used = await marketplace.snapshot();
  await marketplace.restore(unused);
  assert.equal(await marketplace.used('cus_ravi', 'search'), 0);
  const branch = await marketplace.createWorld({ snapshot: used });
  assert.equal(await branch.used('cus_ravi', 'search'), 1);
  assert.equal(branch.solution().secretKey, marketplace.solution().secretKey);
  await marketplace.reset();
  assert.deepEqual(await marketplace.journal(), []);
  await marketplace.stop();
});

test('a fault is for the calls it names, and one that was not met is told', async () => {
  const marketplace = await startMarketplace();
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const on = 'GET /api/user-context';
  const solution = marketplace.solution().id;
  const met = await marketplace.inject({ on, solution, status: 404, times: 2, expiresMs: 60_000 });
  const drip = { pieces: 2, overMs: 1 };
  const left = await marketplace.inject({ on: '*', test: 'another', drip });
  for (const _ of [1, 2]) await assert.rejects(sdk.getUserContext(accessToken));
  assert.equal((await sdk.getUserContext(accessToken)).customerId, 'cus_ravi');
  await assert.rejects(marketplace.verifyFaults(), /No call met.*another/);
  await marketplace.removeFault(left);
  await marketplace.verifyFaults();
  const found = await marketplace.find({ operation: on, status: 404 });
  assert.deepEqual(
    found.map(({ fault }) => fault.split(':')[0]),
    [met, met],
  );
  assert.equal(found[0].answer.body.code, 'not_found');
  assert.ok(!JSON.stringify(found).includes(accessToken));
  assert.deepEqual(await marketplace.journal({ customer: 'cus_asha' }), []);

  const expected = { operation: on, headers: { authorization: { $exists: true } } };
  const numbers = await marketplace.verify({ ...expected, atLeast: 3, atMost: 3 });
  assert.deepEqual(
    numbers.slice(0, 2),
    found.map(({ seq }) => seq),
  );
  await marketplace.verify({ operation: on, times: 0, after: numbers[2] });
  const unmet = marketplace.verify({ operation: on, status: 429 });
  await assert.rejects(
    unmet,
    /at least once; found 0, and these come near:\ncall \d+: status is 200, expected 429/,
  );
  await marketplace.clearJournal();
  await marketplace.clearFaults();
  assert.deepEqual(await marketplace.journal(), []);
  await sdk.close();
  await marketplace.stop();
});

test('a test does what the marketplace does: revoke, change a tier, give a quota back', async () => {
  const marketplace = await startMarketplace();
  const sdk = new MarketplaceSDK(marketplace.options({ validation: 'online' }));
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await marketplace.setTier('cus_ravi', 'enterprise');
  assert.equal((await sdk.validateUser(accessToken)).tier, 'enterprise');
  await sdk.trackUsage(accessToken, 'search');
  await sdk.flush();
  await marketplace.resetQuota('cus_ravi', 'search');
  const quotas = await marketplace.quotas('cus_ravi');
  assert.equal(quotas.find(({ action }) => action === 'search').used, 0);
  await marketplace.revokeToken(accessToken);
  await assert.rejects(sdk.validateUser(accessToken), { code: 'token_revoked' });
  await sdk.close();
  await marketplace.stop();
});

test('a program comes by a token as in the real world, by a code or as a visitor', async () => {
  const marketplace = await startMarketplace();
  const sdk = new MarketplaceSDK(marketplace.options());
  const pair = await sdk.exchangeCode(await marketplace.launchCode('cus_asha'));
  assert.equal((await sdk.validateUser(pair.accessToken)).customerId, 'cus_asha');
  await sdk.close();
  await marketplace.stop();
});

test('a marketplace that runs already is connected to, and left running', async () => {
  const marketplace = await startMarketplace();
  const { url, controlToken } = marketplace;
  const connected = await connectMarketplace({ url: `${url}/`, controlToken });
  assert.deepEqual(connected.solutions, marketplace.solutions);
  assert.equal(connected.customers[0].subscriptions.sol_faiss_search !== undefined, true);
  await connected.stop();
  assert.ok(await marketplace.tokenPair('cus_ravi'));
  await assert.rejects(connected.restart(), /start it with a `db`/);
  await marketplace.stop();
  await assert.rejects(connectMarketplace({ url, controlToken }), TypeError);
});

test('what is kept in a file is there after a restart, at the same place', async () => {
  const marketplace = await startMarketplace({ db: folder('kept.db') });
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await sdk.trackUsage(accessToken, 'search');
  await sdk.flush();
  const { url } = marketplace;
  await marketplace.restart();
  assert.equal(marketplace.url, url);
  assert.equal(await marketplace.used('cus_ravi', 'search'), 1);
  await sdk.close();
  await marketplace.stop();
});

test('a call that is refused says which and why', async () => {
  const marketplace = await startMarketplace();
  await assert.rejects(marketplace.tokenPair('cus_nobody'), (error) => {
    assert.ok(error instanceof MarketplaceCallError);
    assert.deepEqual([error.code, error.status], ['not_found', 404]);
    assert.match(error.message, /^POST \/mock\/sessions: 404 not_found There is no customer/);
    return true;
  });
  assert.throws(
    () => marketplace.options({ solution: 'sol_none' }),
    /no solution sol_none, but sol_/,
  );
  await marketplace.stop();
});

test('no key and no token is shown where a marketplace is printed', async () => {
  const marketplace = await startMarketplace();
  const printed =
    inspect(marketplace, { depth: 9, showHidden: true }) + JSON.stringify(marketplace);
  const { secretKey } = marketplace.solution();
  for (const secret of [marketplace.controlToken, marketplace.adminKey, secretKey]) {
    assert.ok(secret.length > 20 && !printed.includes(secret));
  }
  await marketplace.stop();
});

test('who has not installed the server is told what to install', async () => {
  // The package alone, where Node finds no other.
  const alone = folder('alone/node_modules/@cloudnestle/marketplace-sdk');
  cpSync(PACKAGE, alone, { recursive: true, dereference: true });
  const program = (load) =>
    `${load}.then(({ startMarketplace }) => startMarketplace()).catch((error) => console.log(error.message))`;
  const name = '@cloudnestle/marketplace-sdk/testing';
  for (const load of [`import('${name}')`, `Promise.resolve(require('${name}'))`]) {
    const args = ['--eval', program(load)];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder('alone') });
    assert.match(stdout, /npm install --save-dev @cloudnestle\/mock-server/);
  }
});
