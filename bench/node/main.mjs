// The JavaScript SDK beside its peers, in one run: the same events, delivered to a process of its own that counts
// them. Prints tables in Markdown. `cargo xtask bench --node` installs and runs it; `--quick` is for trying the
// harness itself.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { PEERS, isOurs } from './peers.mjs';

const isQuick = process.argv.includes('--quick');
const ROUNDS = isQuick ? 8 : 40;
const TOKENS = isQuick ? 900 : 3_600;
const RUNS = isQuick ? 1 : 3;

const HERE = import.meta.dirname;
const folder = mkdtempSync(path.join(tmpdir(), 'cloudnestle-bench-'));
const marketplace = await startMarketplace();
for (const callers of ['key', 'token']) {
  await marketplace.setRateLimit({ callers, perSecond: 1_000_000 });
}
const sink = fork(path.join(HERE, 'sink.mjs'));
const port = await new Promise((resolve) => sink.once('message', resolve));
const SINK = `http://127.0.0.1:${port}`;

const { accessToken } = await marketplace.tokenPair('cus_ravi');
const tokens = path.join(folder, 'tokens.json');
writeFileSync(tokens, JSON.stringify(await manyTokens(TOKENS)));

let spools = 0;
/** What a process is told; each has a spool of its own. */
const environment = () => ({
  ...process.env,
  ...marketplace.environment(),
  CLOUDNESTLE_SPOOL_DIR: path.join(folder, `spool-${(spools += 1)}`),
  TOKEN: accessToken,
  TOKENS: tokens,
  SINK,
  ROUNDS: String(ROUNDS),
});

async function manyTokens(many) {
  const session = await marketplace.call('POST', '/mock/sessions', 'control', {
    customer_id: 'cus_ravi',
  });
  const body = { solution_id: marketplace.solution().id };
  const made = [];
  for (let token = 0; token < many; token += 1) {
    const as = { token: session.access_token };
    made.push((await marketplace.call('POST', '/api/generate-token', as, body)).access_token);
  }
  return made;
}

/** How many events have arrived of all that this peer has ever sent. */
async function arrived(name) {
  if (!isOurs(name)) return Number(await (await fetch(`${SINK}/count`)).text());
  const quotas = await marketplace.quotas('cus_ravi');
  return quotas.find(({ action }) => action === 'search').used;
}

async function outage(name, on) {
  if (isOurs(name)) await marketplace.setOutage(on);
  else await fetch(`${SINK}/outage/${on ? 'on' : 'off'}`, { method: 'POST' });
}

/** One measurement, in a process of its own. */
function measure(what, name) {
  const child = fork(path.join(HERE, 'measure.mjs'), [what, name ?? ''], {
    env: environment(),
    execArgv: ['--expose-gc'],
  });
  return new Promise((resolve, reject) => {
    child.on('message', async ({ question, result }) => {
      if (question === undefined) return resolve(result);
      await outage(name, question === 'out');
      child.send('done');
    });
    child.once('exit', (code) => reject(new Error(`${what} of ${name} ended with ${code}`)));
  });
}

/** Runs a program to its end; how many of its events arrived, and how long it took. */
async function ends(program, name, ...args) {
  const before = await arrived(name);
  const env = environment();
  const begin = performance.now();
  const child = fork(path.join(HERE, 'programs', program), [name, ...args], { env });
  let since = begin;
  child.on('message', () => {
    since = performance.now();
    child.kill('SIGTERM');
  });
  await new Promise((resolve) => child.once('exit', resolve));
  const took = performance.now() - since;
  const delivered = (await arrived(name)) - before;
  if (!isOurs(name) || delivered === 10) return { delivered, took, next: 0 };
  // What is in the spool is for the next process.
  const next = fork(path.join(HERE, 'programs', 'ends.mjs'), [name], { env });
  await new Promise((resolve) => next.once('exit', resolve));
  return { delivered, took, next: (await arrived(name)) - before - delivered - 10 };
}

function table(title, head, rows) {
  console.log(`\n${title}\n\n| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}`);
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
}

/** The best of several runs, field by field: on a shared machine the others were disturbed. */
async function best(what, name) {
  const runs = [];
  for (let run = 0; run < RUNS; run += 1) runs.push(await measure(what, name));
  const fields = Object.keys(runs[0]);
  return Object.fromEntries(
    fields.map((field) => [field, Math.min(...runs.map((run) => run[field]))]),
  );
}

const micros = (nanos) => (nanos / 1000).toFixed(2);
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
const names = Object.keys(PEERS);

try {
  console.log(`Node ${process.version}, ${RUNS} runs of each, the best of them.`);

  const warm = await best('warm');
  const cold = await best('cold');
  table(
    'Who is this user?',
    ['µs a call', 'measured', 'of the floor'],
    [
      ['a `Map` and a look at the clock: the floor', micros(warm.floor), ''],
      ['`validateUser`, remembered', micros(warm.ours), `${(warm.ours / warm.floor).toFixed(1)} ×`],
      ['`node:crypto` verifies Ed25519, and `JSON.parse`: the floor', micros(cold.floor), ''],
      [
        '`validateUser`, never seen, local',
        micros(cold.ours),
        `${Math.round((cold.ours / cold.floor) * 100)} %`,
      ],
      [
        '`jose` `jwtVerify`, key held',
        micros(cold.jose),
        `${Math.round((cold.jose / cold.floor) * 100)} %`,
      ],
      [
        '`jose` `jwtVerify`, `createLocalJWKSet`',
        micros(cold.joseSet),
        `${Math.round((cold.joseSet / cold.floor) * 100)} %`,
      ],
    ],
  );

  const rows = [];
  for (const name of names) {
    const before = await arrived(name);
    const { call, cpu, events } = await best('track', name);
    const all = (await arrived(name)) - before;
    rows.push([name, PEERS[name].keeps, micros(call), micros(cpu), `${all} of ${events * RUNS}`]);
  }
  table(
    `An event, in rounds of 500 that are delivered in between`,
    [
      '',
      'where it is when the call has returned',
      'µs a call',
      'µs of the processor, delivery included',
      'delivered',
    ],
    rows,
  );

  const exits = [];
  for (const name of names) {
    const natural = await ends('ends.mjs', name);
    const silent = await ends('serves.mjs', name);
    const asked = isOurs(name) ? await ends('serves.mjs', name, 'listening') : undefined;
    const told = ({ delivered, next }) =>
      `${delivered}${next > 0 ? `, and ${next} by the next process` : ''}`;
    exits.push([
      name,
      `${told(natural)} in ${(natural.took / 1000).toFixed(2)} s`,
      told(silent),
      asked === undefined ? 'has none' : `${told(asked)} in ${(asked.took / 1000).toFixed(2)} s`,
    ]);
  }
  table(
    'Ten events, and then the program ends',
    ['', 'by itself', 'by SIGTERM', 'by SIGTERM, with the SDK’s help'],
    exits,
  );

  const offline = [];
  for (const name of names) {
    const before = await arrived(name);
    const { events, heap, rss } = await measure('offline', name);
    const all = (await arrived(name)) - before - 1;
    offline.push([name, megabytes(heap), megabytes(rss), `${all} of ${events}`]);
  }
  table(
    '20,000 events while nobody answers; then somebody does, and has a minute',
    ['', 'heap, MB more', 'resident, MB more', 'delivered'],
    offline,
  );
} finally {
  sink.kill();
  await marketplace.stop();
  rmSync(folder, { recursive: true, force: true });
}
