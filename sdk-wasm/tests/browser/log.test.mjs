// The log of records in a real IndexedDB, without the core: what it may rely on.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { Pages } from './pages.mjs';

// The log is no part of what the package exports.
const { buildSync } = createRequire(process.env.CLOUDNESTLE_BUILT_IN)('esbuild');
const source = path.join(path.dirname(process.env.CLOUDNESTLE_BUILT_IN), 'ts/web/log.ts');
const built = buildSync({ entryPoints: [source], bundle: true, format: 'esm', write: false });

let marketplace, pages;
before(async () => {
  marketplace = await startMarketplace();
  pages = await Pages.begin(marketplace.url, { '/log.js': built.outputFiles[0].text });
});
after(async () => {
  await pages?.end();
  await marketplace?.stop();
});

/** A tab with the log `usage` at hand. */
async function tab(context, producer = 'prd_a') {
  const page = await pages.open(context);
  await page.evaluate(async (producer) => {
    const { indexedLog } = await import('/log.js');
    globalThis.log = indexedLog('usage', producer);
  }, producer);
  return page;
}

const append = (page, records, skip = 0) =>
  page.evaluate(([records, skip]) => globalThis.log.append(records, skip), [records, skip]);
const read = (page, after = 0, records = 100, bytes = 100_000) =>
  page.evaluate(
    async ([after, records, bytes]) => {
      const read = await globalThis.log.read(after, records, bytes);
      const [numbers, refusedNumbers] = [[...read.numbers], [...read.refusedNumbers]];
      return { ...read, numbers, refusedNumbers };
    },
    [after, records, bytes],
  );
const settle = (page, through, numbers = [], refused = []) =>
  page.evaluate(
    ([through, numbers, refused]) =>
      globalThis.log.settle(through, Float64Array.from(numbers), refused),
    [through, numbers, refused],
  );

test('tabs that append at once give each number once', async () => {
  const context = await pages.context();
  const tabs = await Promise.all(['prd_a', 'prd_b', 'prd_c'].map((its) => tab(context, its)));
  const given = await Promise.all(
    tabs.map((page, index) =>
      page.evaluate(async (index) => {
        const numbers = [];
        for (let event = 0; event < 40; event += 1) {
          numbers.push(await globalThis.log.append([`${index}-${event}`], 0));
        }
        return numbers;
      }, index),
    ),
  );
  const all = given.flat().sort((one, other) => one - other);
  assert.deepEqual(
    all,
    Array.from({ length: 120 }, (_, index) => index + 1),
  );
  const whole = await Promise.all(tabs.map((page) => read(page, 0, 1_000)));
  for (const one of whole) assert.deepEqual(one, whole[0], 'tabs see different logs');
  const { producer, last, numbers, records } = whole[0];
  assert.ok(['prd_a', 'prd_b', 'prd_c'].includes(producer));
  assert.equal(last, 120);
  for (const [index, mine] of given.entries()) {
    for (const [event, number] of mine.entries()) {
      assert.equal(records[numbers.indexOf(number)], `${index}-${event}`);
    }
  }
});

test('a number is not given again when its record has gone, nor when it was skipped', async () => {
  const page = await tab(await pages.context());
  assert.equal(await append(page, ['a', 'b']), 1);
  assert.equal(await append(page, ['c'], 5), 8);
  await settle(page, 8);
  assert.equal(await append(page, []), 8);
  assert.equal(await append(page, ['d']), 9);
  const { answered, last, numbers, records } = await read(page);
  assert.deepEqual([answered, last, numbers, records], [8, 9, [9], ['d']]);
});

test('what is read is what is oldest, and no more than was asked for, but one at least', async () => {
  const page = await tab(await pages.context());
  await append(page, ['four', 'five5', 'sixsix']);
  assert.deepEqual((await read(page, 0, 2)).records, ['four', 'five5']);
  assert.deepEqual((await read(page, 0, 10, 9)).records, ['four', 'five5']);
  assert.deepEqual((await read(page, 0, 10, 1)).numbers, [1]);
});

test('what was refused stays until it is forgotten, and the answered mark can go back', async () => {
  const page = await tab(await pages.context());
  await append(page, ['a', 'b', 'c']);
  await settle(page, 2, [1, 2], ['one', 'two']);
  assert.deepEqual((await read(page)).refused, ['one', 'two']);
  assert.deepEqual((await read(page, 1)).refusedNumbers, [2]);
  await settle(page, 1);
  assert.equal((await read(page)).answered, 2);
  await page.evaluate(() => globalThis.log.forget(Float64Array.of(1)));
  await page.evaluate(() => globalThis.log.reopen(1));
  const { answered, forgotten, refused, records } = await read(page);
  assert.deepEqual([answered, forgotten, refused, records], [1, 1, ['two'], ['c']]);
  await page.evaluate(() => globalThis.log.remove(3));
  assert.deepEqual(
    await read(page).then(({ answered, last, records }) => [answered, last, records]),
    [1, 3, []],
  );
});

test('of what was refused the newest thousand are kept', async () => {
  const page = await tab(await pages.context());
  const numbers = Array.from({ length: 1_005 }, (_, index) => index + 1);
  await append(page, numbers.map(String));
  await settle(page, 1_005, numbers, numbers.map(String));
  const { refused, forgotten } = await read(page);
  assert.deepEqual([refused.length, refused[0], refused.at(-1)], [1_000, '6', '1005']);
  assert.equal(forgotten, 5);
});

test('a tab is told when another has changed something, and not of its own', async () => {
  const context = await pages.context();
  const [mine, other] = [await tab(context), await tab(context)];
  await mine.evaluate(() => {
    globalThis.told = 0;
    globalThis.news = globalThis.log.changed().then(() => (globalThis.told += 1));
    const ear = new BroadcastChannel('cloudnestle-marketplace/usage');
    globalThis.heard = new Promise((resolve) => (ear.onmessage = resolve)).then(() => ear.close());
  });
  await append(mine, ['a']);
  await mine.evaluate(() => globalThis.heard); // whoever else has an ear in this page has heard it by now
  assert.equal(await mine.evaluate(() => globalThis.told), 0);
  await append(other, ['b']);
  await mine.evaluate(() => globalThis.news);
  // What nobody waited for is told to whoever waits next.
  await settle(other, 1);
  await mine.evaluate(() => globalThis.log.changed());
});

test('who waits no more is not told, and what happened is news to whoever waits next', async () => {
  const context = await pages.context();
  const [mine, other] = [await tab(context), await tab(context)];
  await mine.evaluate(() => {
    globalThis.told = 0;
    for (let wait = 0; wait < 1_000; wait += 1) {
      globalThis.log.changed().then(() => (globalThis.told += 1));
      globalThis.log.ignore();
    }
  });
  await append(other, ['a']);
  await mine.evaluate(() => globalThis.log.changed());
  assert.equal(await mine.evaluate(() => globalThis.told), 0);
});

test('a log that was cleared under a page is not begun again by it', async () => {
  const context = await pages.context();
  const page = await tab(context);
  await append(page, ['a']);
  const cleared = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const request = indexedDB.deleteDatabase('cloudnestle-marketplace');
        request.onsuccess = () => resolve('cleared');
        request.onblocked = () => resolve('blocked');
      }),
  );
  assert.equal(cleared, 'cleared', 'the page held on to it');
  await assert.rejects(append(page, ['b']), /cleared/);
  const later = await tab(context, 'prd_later');
  assert.equal(await append(later, ['c']), 1);
  assert.equal((await read(later)).producer, 'prd_later');
  // Not even now: what is appended would have the other's name.
  await assert.rejects(append(page, ['d']), /cleared/);
  assert.deepEqual((await read(later)).records, ['c']);
});

test('what a page has acknowledged outlives it, however it ends', async () => {
  const context = await pages.context();
  const page = await tab(context);
  assert.equal(await append(page, ['a', 'b']), 1);
  const session = await context.newCDPSession(page);
  await Promise.race([
    session.send('Page.crash').catch(() => undefined),
    page.waitForEvent('crash'),
  ]);
  const next = await tab(context, 'prd_next');
  const { producer, records } = await read(next);
  assert.deepEqual([producer, records], ['prd_a', ['a', 'b']]);
});
