// How a page is left, and comes back, in Chromium.
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

const setUp = () => ({ url: marketplace.url, solution: marketplace.solution().id });

/** Waits until so much was counted; the test's own time is the limit. */
async function countedIs(quantity) {
  while ((await marketplace.used('cus_ravi', 'view')) !== quantity) await sleep(50);
}

test('what is on its way when the page is closed arrives', { timeout: 15_000 }, async () => {
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const page = await pages.open(context);
  const sdk = await open(page, setUp());
  await sdk.validateUser(accessToken);
  // The marketplace takes its time, and forgets whoever hangs up.
  await marketplace.inject({ on: 'POST /api/track-usage', delayMs: 1_500 });
  const sent = page.waitForRequest((request) => request.url().endsWith('/api/track-usage'));
  await sdk.trackUsage(accessToken, 'view', { quantity: 2 });
  await sent;
  await page.close();
  await countedIs(2);
});

/** A page whose timers stand still, with an event that waits for one of them. */
async function waiting(accessToken) {
  const page = await pages.open(context);
  await page.clock.install();
  const sdk = await open(page, setUp());
  await sdk.validateUser(accessToken);
  await page.clock.pauseAt(Date.now() + 2_000);
  await (
    await sdk.trackUsage(accessToken, 'view')
  ).persisted;
  return page;
}

for (const [what, happens] of [
  [
    'is hidden',
    () => {
      Object.defineProperty(document, 'visibilityState', { value: 'hidden' });
      document.dispatchEvent(new Event('visibilitychange'));
    },
  ],
  ['comes back', () => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))],
  ['is online again', () => dispatchEvent(new Event('online'))],
]) {
  test(`a page that ${what} sends what waits at once`, { timeout: 15_000 }, async () => {
    const { accessToken } = await marketplace.tokenPair('cus_ravi');
    const page = await waiting(accessToken);
    await page.evaluate(happens);
    await countedIs(1);
  });
}

test(
  'what is larger than a page may leave behind is sent all the same',
  { timeout: 15_000 },
  async () => {
    const { accessToken } = await marketplace.tokenPair('cus_ravi');
    const page = await pages.open(context);
    const sdk = await open(page, setUp());
    await sdk.validateUser(accessToken);
    await marketplace.setOutage(true);
    const metadata = { note: 'x'.repeat(200) };
    for (let event = 0; event < 400; event += 1) {
      await sdk.trackUsage(accessToken, 'view', { metadata });
    }
    await marketplace.setOutage(false);
    await sdk.flush();
    await countedIs(400);
  },
);
