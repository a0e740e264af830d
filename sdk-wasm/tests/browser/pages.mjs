// Pages in a real browser, which have the package from its tarball under a policy that allows it one thing.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

// The package is installed without what it was built with.
const { chromium } = createRequire(process.env.CLOUDNESTLE_BUILT_IN)('playwright-core');

const CHROMIUM = process.env.CLOUDNESTLE_CHROMIUM ?? '/usr/bin/chromium';

/** What a browser does by itself, and a test has no use for. */
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const PACKAGE = path.join(
  import.meta.dirname,
  '../../node_modules/@cloudnestle/marketplace-sdk/dist',
);

/** Where the solution has registered its pages. */
const SITE = 'http://localhost:3000';

const PAGE = `<!doctype html><meta charset="utf-8"><title>A solution</title>
<script type="module" src="/page.js"></script>`;

/** What a page does: the tests call it by the name. */
const script = (more) => `import * as marketplace from '/client.js';
globalThis.marketplace = marketplace;
${more}
globalThis.isReady = true;`;

/** A browser, and a site that has the page. */
export class Pages {
  /**
   * `reach` is what its pages may reach; `scripts` are what the site has beside the package, by their paths. With
   * `keepsPages` the browser keeps pages that are left in memory, as it does with its users; tests have it not to.
   */
  static async begin(reach, scripts = {}, keepsPages = false) {
    const pages = new Pages();
    // All that the SDK asks of a page's policy: to compile WebAssembly, and to reach the marketplace.
    const policy = `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src ${reach}`;
    const imports = Object.keys(scripts)
      .map((path) => `import '${path}';`)
      .join('\n');
    const files = new Map([
      ['/', ['text/html', PAGE]],
      ['/elsewhere', ['text/html', '<!doctype html><title>Another page</title>']],
      ['/page.js', ['text/javascript', script(imports)]],
      ['/client.js', ['text/javascript', readFileSync(path.join(PACKAGE, 'client.js'))]],
      ['/prose.js', ['text/javascript', readFileSync(path.join(PACKAGE, 'prose.js'))]],
      ...Object.entries(scripts).map(([path, script]) => [path, ['text/javascript', script]]),
    ]);
    pages.site = createServer(({ url }, answer) => {
      const [type, body] = files.get(url) ?? [];
      if (body === undefined) return answer.writeHead(404).end();
      answer.writeHead(200, { 'content-type': type, 'content-security-policy': policy }).end(body);
    });
    await new Promise((resolve) => pages.site.listen(0, '127.0.0.1', resolve));
    // It may be on any port, and is to the browser where the solution's pages are.
    const { host } = new URL(SITE);
    const where = `--host-resolver-rules=MAP ${host} 127.0.0.1:${pages.site.address().port}`;
    pages.browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [...QUIET, where],
      ignoreDefaultArgs: keepsPages ? ['--disable-back-forward-cache'] : [],
    });
    return pages;
  }

  async end() {
    await this.browser?.close();
    this.site.close();
  }

  /** What one user's browser has: pages of one context share their storage. */
  context() {
    return this.browser.newContext();
  }

  /** A page that has loaded, and what it complained about. */
  async open(context) {
    const page = await context.newPage();
    page.complaints = [];
    page.on('pageerror', (error) => page.complaints.push(`${error}`));
    page.on('console', (message) => {
      if (message.type() === 'error') page.complaints.push(message.text());
    });
    await this.load(page);
    return page;
  }

  /** Leaves the page for another one. */
  async leave(page) {
    await page.goto(`${SITE}/elsewhere`);
  }

  async load(page) {
    await page.goto(`${SITE}/`);
    await page.waitForFunction(() => globalThis.isReady);
  }
}
