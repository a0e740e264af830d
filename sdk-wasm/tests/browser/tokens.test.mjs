// A pair that outlives its page, for programs that want that, in Chromium.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from './remote.mjs';
import { site } from './site.mjs';

const at = site();
const SESSION = { tokenStorage: 'session' };

/** A page that has renewed its pair, and the token that it has now. */
async function renewed(page, more) {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const source = await (await open(page, at.setUp(more))).keepFresh(pair);
  await at.marketplace.advanceClock(2_000);
  const token = await source.replace(pair.accessToken);
  return { source, token };
}

test('a page that is loaded again goes on with its user, without a word of the marketplace’s', async () => {
  const page = await at.page();
  const { token } = await renewed(page, SESSION);
  await at.pages.load(page);
  const again = await open(page, at.setUp(SESSION));
  const source = await again.resume();
  assert.equal(await source.accessToken(), token);
  assert.equal((await again.validateUser(token)).customerId, 'cus_ravi');
});

test('what is kept for a tab is not another tab’s, and no other solution’s', async () => {
  const page = await at.page();
  await renewed(page, SESSION);
  assert.equal(await (await at.sdk(SESSION)).resume(), undefined);
  const other = await open(page, at.setUp({ ...SESSION, solution: 'sol_other' }));
  assert.equal(await other.resume(), undefined);
});

test('who asks for nothing is kept nowhere', async () => {
  const page = await at.page();
  await renewed(page);
  assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0);
  await at.pages.load(page);
  assert.equal(await (await open(page, at.setUp())).resume(), undefined);
});

test('a user who signs out, or is refused, is not resumed', async () => {
  const page = await at.page();
  const { source } = await renewed(page, SESSION);
  await source.forget();
  assert.equal(await (await open(page, at.setUp(SESSION))).resume(), undefined);

  const { source: another } = await renewed(page, SESSION);
  await at.marketplace.revokeUser('cus_ravi');
  await at.marketplace.advanceClock(1_000_000);
  const { accessToken } = await another.pair;
  await assert.rejects(another.replace(accessToken), { code: 'refresh_token_invalid' });
  assert.equal(await (await open(page, at.setUp(SESSION))).resume(), undefined);
});

test('a storage of the program’s own serves all tabs, and what is damaged there is passed over', async () => {
  const page = await at.page();
  const { accessToken } = await at.marketplace.tokenPair('cus_ravi');
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const told = await page.evaluate(
    async ([options, pair, token]) => {
      const { MarketplaceSDK } = globalThis.marketplace;
      const own = { ...options, tokenStorage: localStorage };
      new MarketplaceSDK(own).keepFresh(pair);
      const resumed = await new MarketplaceSDK(own).resume().accessToken();
      const found = [];
      for (const damage of ['', '{', 'null', '{"access_token":7}', token]) {
        localStorage.setItem(localStorage.key(0), damage);
        found.push(new MarketplaceSDK(own).resume() === undefined);
      }
      return { resumed, found, stored: localStorage.length };
    },
    [at.setUp(), pair, accessToken],
  );
  assert.equal(told.resumed, pair.accessToken);
  assert.deepEqual(told.found, [true, true, true, true, true]);
});

test('where nothing may be stored a pair lives as long as its page', async () => {
  const page = await at.page();
  await page.evaluate(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
  });
  const { source, token } = await renewed(page, SESSION);
  assert.equal(await source.accessToken(), token);
  assert.deepEqual(page.complaints, []);
});
