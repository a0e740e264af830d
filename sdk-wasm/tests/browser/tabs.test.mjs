// What the tabs of a site share of their user, in Chromium.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { Pages } from './pages.mjs';
import { SCRIPT, open } from './remote.mjs';

let pages, marketplace, context;
before(async () => (pages = await Pages.begin('http://127.0.0.1:*', { '/remote.js': SCRIPT })));
after(() => pages?.end());
beforeEach(async () => {
  marketplace = await startMarketplace();
  context = await pages.context();
});
afterEach(async () => {
  await context.close();
  await marketplace.stop();
});

async function tab() {
  const options = { url: marketplace.url, solution: marketplace.solution().id };
  return open(await pages.open(context), options);
}

/** Waits until a source has that pair; the test's own time is the limit. */
async function has(source, pair) {
  while ((await source.pair).accessToken !== pair.accessToken) await sleep(20);
}

const renewals = async () =>
  (await marketplace.journal()).filter(({ operation }) => operation === 'POST /api/refresh-token')
    .length;

test(
  'a pair that one tab has renewed is taken over by the others',
  { timeout: 20_000 },
  async () => {
    const pair = await marketplace.tokenPair('cus_ravi');
    const [first, second] = await Promise.all([tab(), tab()]);
    const [mine, other] = [await first.keepFresh(pair), await second.keepFresh(pair)];
    await marketplace.advanceClock(1_000_000);
    await first.quotas(pair.accessToken).catch(() => undefined); // learns of the time
    await mine.accessToken();
    await has(other, await mine.pair);
    assert.equal(await other.accessToken(), await mine.accessToken());
    assert.equal(await renewals(), 1);
  },
);

test('a tab that begins with an old pair is given the newer one', { timeout: 20_000 }, async () => {
  const pair = await marketplace.tokenPair('cus_ravi');
  const first = await tab();
  const mine = await first.keepFresh(pair);
  await marketplace.advanceClock(2_000);
  await mine.replace(pair.accessToken);
  const other = await (await tab()).keepFresh(pair);
  await has(other, await mine.pair);
  assert.equal(await renewals(), 1);
});

test('a pair of another user is left to them', { timeout: 20_000 }, async () => {
  const [ravi, asha] = [
    await marketplace.tokenPair('cus_ravi'),
    await marketplace.tokenPair('cus_asha'),
  ];
  const [first, second, third] = await Promise.all([tab(), tab(), tab()]);
  const mine = await first.keepFresh(ravi);
  const others = await second.keepFresh(asha);
  const too = await third.keepFresh(ravi);
  await marketplace.advanceClock(2_000);
  await mine.replace(ravi.accessToken);
  await has(too, await mine.pair); // everybody has heard of it
  assert.equal((await others.pair).accessToken, asha.accessToken);
});
