// What the README shows is run.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Marketplace } from './marketplace.mjs';

const PACKAGE = path.join(import.meta.dirname, '../node_modules/@cloudnestle/marketplace-sdk');

let marketplace;
before(async () => (marketplace = await Marketplace.start()));
after(() => marketplace.stop());

test('the first program of the readme does what it says', async () => {
  const readme = readFileSync(path.join(PACKAGE, 'README.md'), 'utf8');
  const program = path.join(import.meta.dirname, 'programs/readme.mjs');
  writeFileSync(program, readme.split('```js\n')[1].split('```')[0]);
  const { accessToken } = await marketplace.pair('cus_ravi');
  const env = { ...process.env, ...marketplace.environment() };
  const { stdout } = await promisify(execFile)(process.execPath, [program, accessToken], { env });
  assert.match(stdout, /^cus_ravi is a \w+ customer\n$/);
  assert.equal(await marketplace.used('cus_ravi', 'search'), 1);
});
