// What becomes of usage when pages come and go, in Chromium with its IndexedDB.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from './remote.mjs';
import { site } from './site.mjs';

const at = site();

const counted = () => at.marketplace.used('cus_ravi', 'view');

test('what a page was told is kept is delivered by the next page, when the tab was killed', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const page = await at.page();
  const sdk = await open(page, at.setUp());
  await sdk.validateUser(pair.accessToken);
  await at.marketplace.setOutage(true);
  for (let event = 0; event < 5; event += 1) {
    await (
      await sdk.trackUsage(pair.accessToken, 'view')
    ).persisted;
  }
  const session = await at.context.newCDPSession(page);
  const crashed = page.waitForEvent('crash');
  session.send('Page.crash').catch(() => undefined);
  await crashed;

  await at.marketplace.setOutage(false);
  assert.equal(await counted(), 0);
  const next = await open(await at.page(), at.setUp());
  await next.validateUser(pair.accessToken); // whoever is seen is sent for
  await next.flush();
  assert.equal(await counted(), 5);
});

test('a page that is loaded again goes on where it was', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const page = await at.page();
  const sdk = await open(page, at.setUp());
  await sdk.validateUser(pair.accessToken);
  await at.marketplace.setOutage(true);
  await (
    await sdk.trackUsage(pair.accessToken, 'view', { quantity: 2 })
  ).persisted;
  await at.pages.load(page);
  await at.marketplace.setOutage(false);
  const again = await open(page, at.setUp());
  await (
    await again.trackUsage(pair.accessToken, 'view', { quantity: 3 })
  ).delivered;
  await again.flush();
  assert.equal(await counted(), 5);
});

test('tabs that track and deliver at once lose nothing and count nothing twice', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const tabs = await Promise.all([1, 2, 3].map(() => at.page()));
  const sdks = await Promise.all(tabs.map((page) => open(page, at.setUp())));
  await at.marketplace.inject({ on: 'POST /api/track-usage', reset: 'after_commit' });
  await Promise.all(
    sdks.map(async (sdk) => {
      for (let event = 0; event < 20; event += 1) await sdk.trackUsage(pair.accessToken, 'view');
      await sdk.flush();
    }),
  );
  assert.equal(await counted(), 60);
  for (const sdk of sdks) {
    await sdk.flush(); // and learns what the others have delivered meanwhile
    assert.equal((await sdk.stats()).usage.pending, 0);
  }
});

test('a receipt of one tab is answered although another has delivered its event', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const [first, second] = [await at.page(), await at.page()];
  const [mine, other] = [await open(first, at.setUp()), await open(second, at.setUp())];
  await mine.validateUser(pair.accessToken);
  await other.validateUser(pair.accessToken);
  await first.route('**/api/track-usage', (route) => route.abort()); // this tab alone is cut off
  const receipt = await mine.trackUsage(pair.accessToken, 'view');
  await receipt.persisted;
  await (
    await other.trackUsage(pair.accessToken, 'view')
  ).delivered;
  await receipt.delivered;
  assert.equal(await counted(), 2);
});

test('what is tracked offline is delivered when the browser is online again', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const page = await at.page();
  const sdk = await open(page, at.setUp());
  await sdk.validateUser(pair.accessToken);
  await at.context.setOffline(true);
  const receipt = await sdk.trackUsage(pair.accessToken, 'view', { quantity: 4 });
  await receipt.persisted;
  await at.context.setOffline(false);
  await receipt.delivered;
  assert.equal(await counted(), 4);
});

test('what is told of an event comes back as it was told, in each kind of value', async () => {
  const { accessToken } = await at.marketplace.tokenPair('cus_ravi');
  const sdk = await at.sdk({ deadlineMs: 4999.5 });
  const metadata = {
    whole: 9007199254740991,
    below: -7,
    share: 0.1,
    tiny: -1.5e-9,
    huge: 1e21,
    cached: true,
    parent: null,
    text: 'a\u0000 "n\u00e4ht\\\n\u{1f600}',
    '': 'no name',
  };
  const refused = sdk.trackUsage(accessToken, 'view', { metadata });
  await assert.rejects(refused, { code: 'metadata_invalid' });
  delete metadata[''];
  await (
    await sdk.trackUsage(accessToken, 'no_action', { metadata })
  ).persisted;
  await sdk.flush();
  const [{ event, code }] = await sdk.rejectedUsage();
  assert.equal(code, 'action_unknown');
  assert.deepEqual(event.metadata, metadata);
});

test('where nothing may be stored usage waits in memory, and the page is told', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const page = await at.page();
  await page.evaluate(() => {
    IDBFactory.prototype.open = () => {
      throw new DOMException('The user denied permission.', 'SecurityError');
    };
  });
  const told = await page.evaluate(
    async ([options, token]) => {
      const sdk = new globalThis.marketplace.MarketplaceSDK(options);
      const events = [];
      sdk.on('spoolInMemory', ({ error }) => events.push(error.code));
      await (
        await sdk.trackUsage(token, 'view')
      ).delivered;
      return { events, stats: sdk.stats() };
    },
    [at.setUp(), pair.accessToken],
  );
  assert.equal(told.stats.usage.delivered, 1);
  assert.equal(told.events.length, 1, JSON.stringify(told));
  assert.equal(await counted(), 1);
});

test('where the database does not open usage waits in memory, and is sent', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const page = await at.page();
  // As it is when a tab that sleeps has it open while it is deleted.
  await page.evaluate(() => (IDBFactory.prototype.open = () => new EventTarget()));
  const sdk = await open(page, at.setUp());
  await (
    await sdk.trackUsage(pair.accessToken, 'view')
  ).delivered;
  assert.equal(await counted(), 1);
});

test('what the browser gives up once counts all the same', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const page = await at.page();
  const sdk = await open(page, at.setUp());
  await (
    await sdk.trackUsage(pair.accessToken, 'view')
  ).delivered;
  await page.evaluate(() => {
    const { transaction } = IDBDatabase.prototype;
    let left = 2; // the second is over the connection that is opened anew
    IDBDatabase.prototype.transaction = function (stores, mode, options) {
      if (options.durability === 'strict' && left-- > 0) throw new DOMException('', 'AbortError');
      return transaction.call(this, stores, mode, options);
    };
  });
  const receipt = await sdk.trackUsage(pair.accessToken, 'view');
  await assert.rejects(receipt.persisted, { code: 'spool_failed' });
  await sdk.flush();
  assert.equal(await counted(), 2);
  assert.equal((await sdk.stats()).usage.pending, 0);
});

test(
  'tabs whose site’s data are cleared, while one is cut off and one dies, deliver all they acknowledge from then on',
  { timeout: 60_000 },
  async () => {
    const { accessToken } = await at.marketplace.tokenPair('cus_ravi');
    const [first, second] = [await at.page(), await at.page()];
    const [one, two] = [await open(first, at.setUp()), await open(second, at.setUp())];
    for (const sdk of [one, two]) await (await sdk.trackUsage(accessToken, 'view')).delivered;
    await first.route('**/api/track-usage', (route) => route.abort());
    const session = await at.context.newCDPSession(second);
    const origin = new URL(first.url()).origin;
    await session.send('Storage.clearDataForOrigin', { origin, storageTypes: 'all' });
    const acknowledged = [];
    const track = async (sdk) => {
      const receipt = await sdk.trackUsage(accessToken, 'view');
      const acknowledge = () => acknowledged.push(receipt.id);
      // Each tab finds out by the first that its log is gone.
      await receipt.persisted.then(acknowledge, ({ code }) => assert.equal(code, 'spool_failed'));
    };
    for (const sdk of [one, two, one, two, one, two]) await track(sdk);
    const crashed = second.waitForEvent('crash');
    session.send('Page.crash').catch(() => undefined);
    await crashed;
    await track(one);
    await first.unroute('**/api/track-usage');
    await one.flush();
    const events = await at.marketplace.countedEvents('cus_ravi');
    const counted = new Set(events.map(({ id }) => id));
    assert.ok(acknowledged.length >= 5, `${acknowledged.length} were acknowledged`);
    assert.deepEqual(
      acknowledged.filter((id) => !counted.has(id)),
      [],
    );
    assert.equal((await one.stats()).usage.pending, 0);
  },
);

test('a page that asks for memory stores nothing', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const page = await at.page();
  const sdk = await open(page, at.setUp({ spool: 'memory' }));
  await (
    await sdk.trackUsage(pair.accessToken, 'view')
  ).delivered;
  assert.deepEqual(await page.evaluate(() => indexedDB.databases()), []);
});

test('no token is stored', async () => {
  const pair = await at.marketplace.tokenPair('cus_ravi');
  const page = await at.page();
  const sdk = await open(page, at.setUp());
  await (await sdk.keepFresh(pair)).accessToken();
  await sdk.validateUser(pair.accessToken);
  await at.marketplace.setOutage(true);
  await (
    await sdk.trackUsage(pair.accessToken, 'view')
  ).persisted;
  const stored = await page.evaluate(async () => {
    const database = await new Promise((resolve) => {
      indexedDB.open('cloudnestle-marketplace').onsuccess = ({ target }) => resolve(target.result);
    });
    const all = [...database.objectStoreNames].map(
      (name) =>
        new Promise((resolve) => {
          const store = database.transaction(name).objectStore(name);
          store.getAll().onsuccess = ({ target }) => resolve(target.result);
        }),
    );
    const texts = JSON.stringify(await Promise.all(all));
    return texts + JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]);
  });
  assert.match(stored, /view/);
  assert.ok(!stored.includes(pair.accessToken) && !stored.includes(pair.refreshToken));
  assert.ok(!stored.includes(pair.accessToken.split('.')[2]));
});
