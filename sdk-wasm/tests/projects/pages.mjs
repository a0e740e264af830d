// Pages in Chromium, under a policy that allows them WebAssembly and the marketplace, and no more.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CLOUDNESTLE_CHROMIUM ?? '/usr/bin/chromium';
const TYPES = { '.html': 'text/html', '.js': 'text/javascript' };

/** What a page shows that is a program alone. */
async function isDone(page) {
  await page.waitForFunction(() => document.title !== 'A solution');
  assert.equal(await page.title(), 'cus_ravi');
}

/** What the example shows, whose user views something. */
export async function isViewed(page) {
  await page.waitForSelector('#view:enabled');
  assert.match(await page.textContent('#user'), /^cus_ravi, /);
  await page.click('#view');
  await page.waitForFunction(() => document.getElementById('quotas').textContent !== '');
  assert.match(await page.textContent('#quotas'), /search: 0 of \d+/);
}

/** Opens a page; it must validate its user, and what it tracks is counted. `site` is where it is, given the policy. */
export async function opens(site, shows = isDone) {
  const marketplace = await startMarketplace();
  const { accessToken: token } = await marketplace.tokenPair('cus_ravi');
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  const policy = `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src ${marketplace.url}`;
  const { url, close } = await site(policy);
  try {
    const page = await browser.newPage();
    const set = { url: marketplace.url, solution: marketplace.solution().id, token };
    await page.goto(`${url}?${new URLSearchParams(set)}`);
    await shows(page);
    assert.equal(await marketplace.used('cus_ravi', 'view'), 1);
  } finally {
    await browser.close();
    await close();
    await marketplace.stop();
  }
}

/** A folder as a site. */
export const served = (folder) => async (policy) => {
  const site = createServer(({ url }, answer) => {
    const file = new URL(url, 'http://site').pathname.replace(/\/$/, '/index.html');
    try {
      const content = readFileSync(path.join(folder, file));
      const type = TYPES[path.extname(file)];
      answer.writeHead(200, { 'content-type': type, 'content-security-policy': policy });
      answer.end(content);
    } catch {
      answer.writeHead(404).end();
    }
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise((resolve) => site.close(resolve));
  return { url: `http://127.0.0.1:${site.address().port}/`, close };
};
