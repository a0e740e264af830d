// The words on the wire: what these files say is what a program gets, with JavaScript's names, and what it
// gives is written as they are.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

const fixture = (name) =>
  JSON.parse(
    readFileSync(path.join(process.env.CLOUDNESTLE_CONFORMANCE, `wire/${name}.json`), 'utf8'),
  );

/** An SDK whose marketplace answers every call with that, and what it was asked. */
function answering(answer) {
  const asked = [];
  const fetch = async (input, { body }) => {
    asked.push({ url: input, body: body && JSON.parse(new TextDecoder().decode(body)) });
    return Response.json(answer);
  };
  const sdk = new MarketplaceSDK({
    url: 'https://market.test',
    solution: 'sol_faiss_search',
    secretKey: 'cnsk_test_0123456789',
    spool: 'memory',
    fetch,
  });
  return { sdk, asked };
}

/** JavaScript's names, but for what is a program's own. */
function inJavaScript(value) {
  if (Array.isArray(value)) return value.map(inJavaScript);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, inner]) => [
    name.replace(/_(.)/g, (_, first) => first.toUpperCase()),
    name === 'metadata' ? inner : inJavaScript(inner),
  ]);
  return Object.fromEntries(entries);
}

for (const [name, read] of [
  ['usage_history', (sdk) => sdk.usageHistory('cus_ravi')],
  ['usage_events', (sdk) => sdk.usageEvents('cus_ravi')],
]) {
  test(`${name} is read to the letter`, async () => {
    const { next_cursor: _, ...page } = fixture(name);
    const { sdk } = answering(page);
    const items = [];
    for await (const item of read(sdk)) items.push(item);
    assert.deepEqual(items, inJavaScript(page.items));
    sdk[Symbol.dispose]();
  });
}

test('a token pair is read and written to the letter', async () => {
  const pair = fixture('token_pair');
  const { sdk, asked } = answering({ ...pair, expires_at: '2030-01-01T00:00:00Z' });
  const renewed = await sdk.refreshToken(inJavaScript(pair));
  assert.deepEqual(renewed, inJavaScript({ ...pair, expires_at: '2030-01-01T00:00:00Z' }));
  assert.deepEqual(asked[0].body, { refresh_token: pair.refresh_token });
  sdk[Symbol.dispose]();
});

test('what a newer marketplace says is survived', async () => {
  const [item] = fixture('usage_history').items;
  const { sdk } = answering({ items: [{ ...item, colour: 'blue' }], mood: 'good' });
  for await (const bucket of sdk.usageHistory('cus_ravi')) {
    assert.deepEqual(bucket, inJavaScript(item));
  }
  sdk[Symbol.dispose]();
});
