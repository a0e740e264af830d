// A page that its user leaves and comes back to, in a Chromium that has kept it in memory meanwhile.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from './remote.mjs';
import { site } from './site.mjs';

const at = site({ keepsPages: true });

/** Back to the page that was left; whether it is the one that was kept. */
async function back(page) {
  await page.evaluate(() => void setTimeout(() => history.back()));
  await page.waitForFunction(() => globalThis.returned !== undefined);
  return page.evaluate(() => globalThis.returned);
}

const noteReturns = () =>
  addEventListener('pageshow', (event) => (globalThis.returned = event.persisted));

test(
  'a page that comes back from the browser’s memory goes on where it was',
  { timeout: 20_000 },
  async () => {
    const { accessToken } = await at.marketplace.tokenPair('cus_ravi');
    const page = await at.page();
    const sdk = await open(page, at.setUp());
    await sdk.validateUser(accessToken);
    await page.evaluate(noteReturns);
    await at.marketplace.setOutage(true);
    const receipt = await sdk.trackUsage(accessToken, 'view', { quantity: 2 });
    await receipt.persisted;
    await at.pages.leave(page);
    await at.marketplace.setOutage(false);
    assert.equal(await back(page), true, 'the browser has not kept the page');
    await receipt.delivered;
    await (
      await sdk.trackUsage(accessToken, 'view')
    ).delivered;
    assert.equal(await at.marketplace.used('cus_ravi', 'view'), 3);
    assert.equal((await sdk.stats()).usage.pending, 0);
  },
);
