// One measurement in a process of its own: `node measure.mjs WHAT PEER`. What it found is sent to its parent.
import { readFileSync } from 'node:fs';
import { createPublicKey, verify } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { createLocalJWKSet, importJWK, jwtVerify } from 'jose';
import { PEERS } from './peers.mjs';

const [what, name] = process.argv.slice(2);
const TOKENS = process.env.TOKENS && JSON.parse(readFileSync(process.env.TOKENS, 'utf8'));

/** Calls in a round; between rounds of events everything is delivered. */
const ROUND = 500;

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

/** Nanoseconds of a call, in the middle one of many rounds after some to warm up. */
async function timed(calls, rounds, call, between = () => undefined) {
  const each = [];
  for (let round = 0; round < rounds; round += 1) {
    const begin = process.hrtime.bigint();
    for (let at = 0; at < calls; at += 1) await call(round * calls + at);
    each.push(Number(process.hrtime.bigint() - begin) / calls);
    await between();
  }
  return median(each.slice(Math.ceil(rounds / 4)));
}

const MEASUREMENTS = {
  /** A user who was validated a moment ago; and the least it could be. */
  async warm() {
    const sdk = new MarketplaceSDK();
    const token = process.env.TOKEN;
    await sdk.validateUser(token);
    const ours = await timed(100_000, 12, () => sdk.validateUser(token));
    const map = new Map(TOKENS.map((known) => [known, { until: Date.now() + 600_000 }]));
    const validate = async (key) => {
      const held = map.get(key);
      return held !== undefined && held.until > Date.now() ? held : undefined;
    };
    const floor = await timed(100_000, 12, () => validate(TOKENS[0]));
    await sdk.close();
    return { ours, floor };
  },

  /** Users nobody has seen, each once. */
  async cold() {
    const calls = 300;
    const rounds = Math.floor(TOKENS.length / calls);
    const { keys } = await (
      await fetch(`${process.env.CLOUDNESTLE_URL}/.well-known/jwks.json`)
    ).json();
    const checks = {
      issuer: process.env.CLOUDNESTLE_URL,
      audience: process.env.CLOUDNESTLE_SOLUTION,
    };

    const sdk = new MarketplaceSDK({ validation: 'local' });
    const ours = await timed(calls, rounds, (at) => sdk.validateUser(TOKENS[at]));
    await sdk.close();

    const { kid } = JSON.parse(Buffer.from(TOKENS[0].split('.')[0], 'base64url'));
    const jwk = keys.find((key) => key.kid === kid);
    const key = await importJWK(jwk, 'EdDSA');
    const jose = await timed(calls, rounds, (at) => jwtVerify(TOKENS[at], key, checks));
    const set = createLocalJWKSet({ keys });
    const joseSet = await timed(calls, rounds, (at) => jwtVerify(TOKENS[at], set, checks));

    const raw = createPublicKey({ key: jwk, format: 'jwk' });
    const floor = await timed(calls, rounds, async (at) => {
      const [header, claims, signature] = TOKENS[at].split('.');
      const signed = Buffer.from(`${header}.${claims}`);
      if (!verify(null, signed, raw, Buffer.from(signature, 'base64url')))
        throw new Error('forged');
      return JSON.parse(Buffer.from(claims, 'base64url'));
    });
    return { ours, jose, joseSet, floor };
  },

  /** What a call costs, and what the processor spends on an event until it is delivered. */
  async track() {
    const peer = PEERS[name].open();
    for (let event = 0; event < 4 * ROUND; event += 1) await peer.track();
    await peer.flush();
    const rounds = Number(process.env.ROUNDS);
    const before = process.cpuUsage();
    const call = await timed(
      ROUND,
      rounds,
      () => peer.track(),
      () => peer.flush(),
    );
    const { user, system } = process.cpuUsage(before);
    const events = rounds * ROUND;
    return { call, cpu: ((user + system) * 1000) / events, events: events + 4 * ROUND };
  },

  /** Twenty thousand events while nobody can be reached: what they take, and who brings them after all. */
  async offline() {
    const events = 20_000;
    const peer = PEERS[name].open();
    await peer.track();
    await peer.flush();
    const taken = () => {
      globalThis.gc();
      const { heapUsed, external, rss } = process.memoryUsage();
      return { heap: heapUsed + external, rss };
    };
    await ask('out');
    const before = taken();
    for (let event = 0; event < events; event += 1) {
      await peer.track();
      // The program does something else, too.
      if (event % ROUND === 0) await sleep(5);
    }
    await sleep(500);
    const after = taken();
    await ask('in');
    await Promise.race([Promise.resolve(peer.flush()).catch(() => undefined), sleep(60_000)]);
    return { events, heap: after.heap - before.heap, rss: after.rss - before.rss };
  },
};

/** Has the parent take the endpoint away, or bring it back. */
function ask(question) {
  return new Promise((resolve) => {
    process.once('message', resolve);
    process.send({ question });
  });
}

process.send({ result: await MEASUREMENTS[what]() });
process.exit();
