// What the tabs of a site share of their user, in Chromium.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from './remote.mjs';
import { site } from './site.mjs';

const at = site();

const tab = () => at.sdk();

/** Waits until a source has that pair; the test's own time is the limit. */
async function has(source, pair) {
  while ((await source.pair).accessToken !== pair.accessToken) await sleep(20);
}

const renewals = async () =>
  (await at.marketplace.journal()).filter(
    ({ operation }) => operation === 'POST /api/refresh-token',
  ).length;

test(
  'a pair that one tab has renewed is taken over by the others',
  { timeout: 20_000 },
  async () => {
    const pair = await at.marketplace.tokenPair('cus_ravi');
    const [first, second] = await Promise.all([tab(), tab()]);
    const [mine, other] = [await first.keepFresh(pair), await second.keepFresh(pair)];
    await at.marketplace.advanceClock(1_000_000);
    await first.quotas(pair.accessToken).catch(() => undefined); // learns of the time
    await mine.accessToken();
    await has(other, await mine.pair);
    assert.equal(await other.accessToken(), await mine.accessToken());
    assert.equal(await renewals(), 1);
  },
);

test('a tab that begins with an old pair is given the newer one', { timeout: 20_000 }, async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const first = await tab();
  const mine = await first.keepFresh(pair);
  await at.marketplace.advanceClock(2_000);
  await mine.replace(pair.accessToken);
  const other = await (await tab()).keepFresh(pair);
  await has(other, await mine.pair);
  assert.equal(await renewals(), 1);
});

test(
  'a tab whose SDK has failed and begun anew still knows the newest pair',
  { timeout: 20_000 },
  async () => {
    const pair = await at.marketplace.tokenPair('cus_ravi');
    const page = await at.page();
    const first = await open(page, at.setUp());
    const mine = await first.keepFresh(pair);
    await at.marketplace.advanceClock(2_000);
    await mine.replace(pair.accessToken);
    await page.evaluate(
      () =>
        (performance.now = () => {
          throw new Error('no clock');
        }),
    );
    await assert.rejects(first.validateUser(pair.accessToken), { code: 'internal' });
    await page.evaluate(() => delete performance.now);
    const other = await (await tab()).keepFresh(pair);
    await has(other, await mine.pair);
    assert.equal(await renewals(), 1);
    assert.deepEqual(page.complaints, []);
  },
);

test('a pair of another user is left to them', { timeout: 20_000 }, async () => {
  const [ravi, asha] = [
    await at.marketplace.tokenPair('cus_ravi'),
    await at.marketplace.tokenPair('cus_asha'),
  ];
  const [first, second, third] = await Promise.all([tab(), tab(), tab()]);
  const mine = await first.keepFresh(ravi);
  const others = await second.keepFresh(asha);
  const too = await third.keepFresh(ravi);
  await at.marketplace.advanceClock(2_000);
  await mine.replace(ravi.accessToken);
  await has(too, await mine.pair); // everybody has heard of it
  assert.equal((await others.pair).accessToken, asha.accessToken);
});
