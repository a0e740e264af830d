// Plays the scenarios of `conformance/scenarios` with a face of the SDK, against a server of its own for each. The
// format is `conformance/src/lib.rs`; a runner is a loop.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Program } from './program.mjs';
import { Server } from './server.mjs';

// The package is installed without what it was built with.
const { parse } = createRequire(process.env.CLOUDNESTLE_BUILT_IN)('yaml');
const FOLDER = process.env.CLOUDNESTLE_CONFORMANCE;

/** Each as its text, by its name. */
const scenarios = new Map(
  readdirSync(path.join(FOLDER, 'scenarios')).map((file) => [
    path.parse(file).name,
    readFileSync(path.join(FOLDER, 'scenarios', file), 'utf8'),
  ]),
);
const readme = readFileSync(path.join(FOLDER, 'README.md'), 'utf8');
scenarios.set('the_example_of_the_readme', readme.split('```yaml\n')[1].split('```')[0]);

/**
 * Plays each scenario with a face, unless `face.why` says why it can't be. They mostly wait, because some bounds are
 * measured in real time: several are played at once.
 */
export function conformance(face) {
  describe('conformance', { concurrency: 4 }, () => {
    for (const [name, text] of scenarios) {
      const scenario = parse(face.inItsWords?.(text) ?? text);
      const skip = face.why(scenario, name) ?? false;
      test(name, { skip, timeout: 120_000 }, () => play(scenario, face));
    }
  });
}

async function play({ promise, given = {}, steps, server: seen = {} }, face) {
  const server = await Server.start(given, steps);
  const programs = new Map();
  try {
    programs.set(undefined, await Program.begin(server, given, face));
    for (const [index, step] of steps.entries()) {
      if (!programs.has(step.program)) {
        programs.set(step.program, await Program.begin(server, given, face));
      }
      try {
        await take(step, server, programs.get(step.program));
      } catch (error) {
        error.message = `“${promise}”, step ${index + 1} (${step.do}): ${error.message}`;
        throw error;
      }
    }
    await server.mustHaveSeen(seen);
  } finally {
    for (const program of programs.values()) await program.end();
    await server.stop();
  }
}

/** What the marketplace does, or the world. */
const DEEDS = {
  revoke: (step, server, program) => server.revoke(program.accessToken(step)),
  reset_quota: (step, server) => server.resetQuota(step),
  revoke_user: (step, server) => server.revokeUser(step.customer),
  change_tier: (step, server) => server.changeTier(step),
  issue: async (step, server, program) => program.isGiven(step, await server.pair(step.customer)),
  restart_server: (_, server) => server.restart(),
  report: async (step, server, program) =>
    assert.equal(await server.report(program.accessToken(step), step), step.error),
  limit_calls: (step, server) => server.limitCalls(step.per_second),
  rotate_signing_key: (_, server) => server.rotateSigningKey(),
  register: (step, server, program) => server.register(program.accessToken(step)),
  advance_clock: (step, server) => server.advanceClock(step.millis),
  turn_clock_back: (step, server) => server.turnClockBack(step.millis),
  go_offline: (_, server) => server.outage(true),
  come_online: (_, server) => server.outage(false),
  faults: (step, server) => server.plan(step.plan),
  wait: (step) => sleep(step.millis),
};

async function take(step, server, program) {
  const deed = DEEDS[step.do];
  if (deed !== undefined) return deed(step, server, program);
  const [before, polls] = [await program.requests(), program.polls.length];
  for (let time = 0; time < (step.times ?? 1); time += 1) await program.call(step);
  if (step.requests === undefined) return;
  const requests = (await program.requests()) - before;
  // On a busy machine a reading of the feed may fall due in any step, and is not because of it.
  const due = program.pollsDueSince(polls);
  assert.ok(
    [requests, requests - due].includes(step.requests),
    `${requests} requests, not ${step.requests}; ${due} readings of the feed were due`,
  );
}
