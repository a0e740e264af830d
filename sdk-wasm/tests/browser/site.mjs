// A site whose pages have the SDK, and for each test a marketplace and a user's browser.
import { after, afterEach, before, beforeEach } from 'node:test';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { Pages } from './pages.mjs';
import { SCRIPT, open } from './remote.mjs';

/** Sets up the tests of a file; `keepsPages` as for {@link Pages}. */
export function site({ keepsPages = false } = {}) {
  const site = {
    /** What an SDK in a page of it is built with. */
    setUp: (more = {}) => ({
      url: site.marketplace.url,
      solution: site.marketplace.solution().id,
      ...more,
    }),
    /** A tab. */
    page: () => site.pages.open(site.context),
    /** An SDK in a tab. */
    sdk: async (more) => open(await site.page(), site.setUp(more)),
  };
  before(async () => {
    site.pages = await Pages.begin('http://127.0.0.1:*', { '/remote.js': SCRIPT }, keepsPages);
  });
  after(() => site.pages?.end());
  beforeEach(async () => {
    site.marketplace = await startMarketplace();
    site.context = await site.pages.context();
  });
  afterEach(async () => {
    await site.context.close();
    await site.marketplace.stop();
  });
  return site;
}
