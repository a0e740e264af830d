// The packed module of a page is inflated by the package itself: whatever was deflated, and however.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';

// It is no part of what the package gives out: taken from where the package was built.
const { buildSync } = createRequire(process.env.CLOUDNESTLE_BUILT_IN)('esbuild');
const source = path.join(path.dirname(process.env.CLOUDNESTLE_BUILT_IN), 'ts/web/inflate.ts');
const { outputFiles } = buildSync({ entryPoints: [source], format: 'esm', write: false });
const { inflate } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);

const words = Buffer.from(
  'who is this user, may they do this, and note that they did it; '.repeat(5_000),
);
const mixed = Buffer.concat([
  words.subarray(0, 70_000),
  randomBytes(70_000),
  Buffer.alloc(100_000),
]);

test('what was deflated comes out as it was, stored, by fixed codes and by codes of its own', () => {
  const { Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE } = constants;
  for (const bytes of [Buffer.alloc(0), Buffer.from('a'), words, randomBytes(200_000), mixed]) {
    for (const how of [{ level: 0 }, { level: 1 }, { level: 9 }]) {
      for (const strategy of [undefined, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE]) {
        const deflated = deflateRawSync(bytes, { ...how, strategy });
        assert.ok(bytes.equals(inflate(deflated, bytes.length)), `${how.level}, ${strategy}`);
      }
    }
  }
});

test('what is damaged ends with an error or with other bytes, and not never', () => {
  const deflated = deflateRawSync(mixed, { level: 9 });
  // Of its last byte there may be nothing that is missed.
  for (const length of [0, 1, 1_000, deflated.length - 2]) {
    assert.throws(() => inflate(deflated.subarray(0, length), mixed.length), /damaged/);
  }
  for (let at = 0; at < deflated.length; at += 997) {
    const damaged = Buffer.from(deflated);
    damaged[at] ^= 1 << (at % 8);
    try {
      inflate(damaged, mixed.length);
    } catch (error) {
      assert.match(error.message, /damaged/);
    }
  }
});
