// What the README shows is run.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';

const PACKAGE = path.join(import.meta.dirname, '../node_modules/@cloudnestle/marketplace-sdk');
const README = readFileSync(path.join(PACKAGE, 'README.md'), 'utf8');
const PROGRAMS = README.split('```js\n')
  .slice(1)
  .map((block) => block.split('```')[0]);

/** Runs a program of the README. */
function run(number, args, env = {}) {
  const program = path.join(import.meta.dirname, `programs/readme-${number}.mjs`);
  writeFileSync(program, PROGRAMS[number]);
  const { NODE_TEST_CONTEXT, ...inherited } = process.env; // it is not a part of this test, but a program
  return promisify(execFile)(process.execPath, [program, ...args], {
    env: { ...inherited, ...env },
  });
}

test('the first program of the readme does what it says', async () => {
  const marketplace = await startMarketplace();
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const { stdout } = await run(0, [accessToken], marketplace.environment());
  assert.match(stdout, /^cus_ravi is a \w+ customer\n$/);
  assert.equal(await marketplace.used('cus_ravi', 'search'), 1);
  await marketplace.stop();
});

test('the test of the readme passes', async () => {
  const { stdout } = await run(1, []);
  assert.match(stdout, /^# pass 1$/m);
});

test('the readme shows no other program', () => assert.equal(PROGRAMS.length, 2));
