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
/** What it shows in a language. */
const blocks = (language) =>
  README.split('```' + language + '\n')
    .slice(1)
    .map((block) => block.split('```')[0]);
const PROGRAMS = blocks('js');

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

/** What the readme's programs in TypeScript take for granted, in turn. */
const GIVEN = [
  `import { ErrorHandler, MarketplaceSDK, QuotaExceededError } from '@cloudnestle/marketplace-sdk';
declare const token: string;`,
  `import type { TokenPair } from '@cloudnestle/marketplace-sdk/client';
declare const pair: TokenPair;`,
  `import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
interface Env { readonly URL: string; readonly SOLUTION: string; readonly SECRET_KEY: string }`,
];

test('the programs of the readme in TypeScript are well typed', async () => {
  const programs = blocks('ts');
  assert.equal(programs.length, GIVEN.length);
  const files = programs.map((program, number) => {
    const file = path.join(import.meta.dirname, `programs/readme-${number}.ts`);
    writeFileSync(file, `${GIVEN[number]}\n${program}`);
    return file;
  });
  const { CLOUDNESTLE_BUILT_IN: builtIn } = process.env;
  const compiler = path.join(path.dirname(builtIn), 'node_modules/.bin/tsc');
  const strict = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022'];
  const lib = ['--lib', 'es2023,dom,dom.iterable,esnext.disposable', '--types', ''];
  await promisify(execFile)(compiler, [...strict, ...lib, ...files]).catch(({ stdout }) =>
    assert.fail(stdout),
  );
});

test('the readme shows no other program', () => assert.equal(PROGRAMS.length, 2));
