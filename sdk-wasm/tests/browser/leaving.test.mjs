// How a page is left, and comes back, in Chromium.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from './remote.mjs';
import { site } from './site.mjs';

const at = site();

/** Waits until so much was counted; the test's own time is the limit. */
async function countedIs(quantity) {
  while ((await at.marketplace.used('cus_ravi', 'view')) !== quantity) await sleep(50);
}

test('what is on its way when the page is closed arrives', { timeout: 15_000 }, async () => {
  const { accessToken } = await at.marketplace.tokenPair('cus_ravi');
  const page = await at.page();
  const sdk = await open(page, at.setUp());
  await sdk.validateUser(accessToken);
  // The marketplace takes its time, and forgets whoever hangs up.
  await at.marketplace.inject({ on: 'POST /api/track-usage', delayMs: 1_500 });
  const sent = page.waitForRequest((request) => request.url().endsWith('/api/track-usage'));
  await sdk.trackUsage(accessToken, 'view', { quantity: 2 });
  await sent;
  await page.close();
  await countedIs(2);
});

test(
  'what is on its way arrives by a fetch of the program’s own, too',
  { timeout: 15_000 },
  async () => {
    const { accessToken } = await at.marketplace.tokenPair('cus_ravi');
    const page = await at.page();
    await page.evaluate(
      async ([options, token]) => {
        const fetch = (input, init) => globalThis.fetch(input, init);
        globalThis.sdk = new globalThis.marketplace.MarketplaceSDK({ ...options, fetch });
        await globalThis.sdk.validateUser(token);
      },
      [at.setUp(), accessToken],
    );
    await at.marketplace.inject({ on: 'POST /api/track-usage', delayMs: 1_500 });
    const sent = page.waitForRequest((request) => request.url().endsWith('/api/track-usage'));
    await page.evaluate(
      (token) => globalThis.sdk.trackUsage(token, 'view').then(() => undefined),
      accessToken,
    );
    await sent;
    await page.close();
    await countedIs(1);
  },
);

/** A page whose timers stand still, with an event that waits for one of them. */
async function waiting(accessToken) {
  const page = await at.page();
  await page.clock.install();
  const sdk = await open(page, at.setUp());
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
    const { accessToken } = await at.marketplace.tokenPair('cus_ravi');
    const page = await waiting(accessToken);
    await page.evaluate(happens);
    await countedIs(1);
  });
}

test(
  'what is larger than a page may leave behind is sent all the same',
  { timeout: 15_000 },
  async () => {
    const { accessToken } = await at.marketplace.tokenPair('cus_ravi');
    const page = await at.page();
    const sdk = await open(page, at.setUp());
    await sdk.validateUser(accessToken);
    await at.marketplace.setOutage(true);
    const metadata = { note: 'x'.repeat(200) };
    for (let event = 0; event < 400; event += 1) {
      await sdk.trackUsage(accessToken, 'view', { metadata });
    }
    await at.marketplace.setOutage(false);
    await sdk.flush();
    await countedIs(400);
  },
);
