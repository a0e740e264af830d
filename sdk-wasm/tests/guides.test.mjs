// What the guides show in JavaScript is run: the same backend by API calls and by the SDK.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { folder } from './folder.mjs';

const GUIDES = path.join(process.env.CLOUDNESTLE_CONFORMANCE, '../docs/guides');

test('a backend by API calls and the same by the SDK say and count the same', async () => {
  const guide = readFileSync(path.join(GUIDES, 'from-api-calls.md'), 'utf8');
  const programs = guide.split('```js\n').slice(1);
  assert.equal(programs.length, 2);
  const told = [];
  for (const [at, text] of programs.entries()) {
    const marketplace = await startMarketplace();
    const { accessToken } = await marketplace.tokenPair('cus_ravi');
    const program = path.join(import.meta.dirname, `programs/guide-${at}.mjs`);
    writeFileSync(program, text.split('```')[0]);
    const env = {
      ...process.env,
      ...marketplace.environment(),
      CLOUDNESTLE_SPOOL_DIR: folder('guide'),
    };
    const run = promisify(execFile)(process.execPath, [program, accessToken], { env });
    told.push((await run).stdout);
    assert.equal(await marketplace.used('cus_ravi', 'search'), 1);
    await marketplace.stop();
  }
  assert.match(told[0], /^cus_ravi is a \w+ customer\nsearch: accepted\n1\n$/);
  assert.equal(told[0], told[1]);
});
