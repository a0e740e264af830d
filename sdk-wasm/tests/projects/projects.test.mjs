// Projects that have installed the package from its tarball, each by the tools that people have. Every one of them
// validates a user against a marketplace, and what it tracks is counted there.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { Miniflare } from 'miniflare';
import { createServer } from 'vite';
import { isViewed, opens, served } from './pages.mjs';

const HERE = import.meta.dirname;
const TARBALL = process.env.CLOUDNESTLE_TARBALL;
/** Where programs are put, apart from every `node_modules`: a bundle needs none. */
const OUT = process.env.CLOUDNESTLE_OUT;
/** How the WebAssembly that is packed in an entry point begins. */
const wasmOf = (entry) => {
  const file = path.join(HERE, 'node_modules/@cloudnestle/marketplace-sdk/dist', entry);
  return /"([A-Za-z0-9+/]{100})/.exec(readFileSync(file, 'utf8'))[1];
};

/** A tool of the projects, with what it said if it fails. */
async function tool(name, args, folder = '.', env = {}) {
  const options = { cwd: path.join(HERE, folder), env: { ...plain(), ...env } };
  try {
    return await promisify(execFile)(path.join(HERE, 'node_modules/.bin', name), args, options);
  } catch (error) {
    throw new Error(`${name}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  }
}

/** Runs a program, and sees that what it did was counted. */
async function runs(program, folder = '.') {
  const marketplace = await startMarketplace();
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const spool = path.join(OUT, 'spools', marketplace.url.split(':')[2]);
  const set = { ...marketplace.environment(), TOKEN: accessToken, CLOUDNESTLE_SPOOL_DIR: spool };
  const options = { cwd: path.join(HERE, folder), env: { ...plain(), ...set } };
  const { stdout } = await promisify(execFile)(process.execPath, [program], options);
  assert.equal(stdout, 'cus_ravi\n');
  assert.equal(await marketplace.used('cus_ravi', 'search'), 1);
  await marketplace.stop();
}

/** Runs a bundle where no package is installed; the WebAssembly is in it, once. */
async function bundleRuns(program) {
  hasOneWasm(path.dirname(program), 'node.js');
  await runs(program);
}

/** That of the package's entry point is in the files of a folder once, and no other is. */
function hasOneWasm(folder, entry) {
  const files = readdirSync(folder, { recursive: true }).map((file) => path.join(folder, file));
  const code = files
    .filter((file) => /\.[cm]?js$/.test(file))
    .map((file) => readFileSync(file, 'utf8'));
  const times = (of) => code.join('').split(wasmOf(of)).length - 1;
  const all = { 'node.js': times('node.js'), 'client.js': times('client.js') };
  assert.deepEqual(all, { 'node.js': 0, 'client.js': 0, [entry]: 1 });
}

/** A page of a bundle that is one file. */
function page(out) {
  writeFileSync(
    path.join(out, 'index.html'),
    '<!doctype html><title>A solution</title><script type="module" src="/program.js"></script>',
  );
  hasOneWasm(out, 'client.js');
  return opens(served(out));
}

/** This process's environment, without what makes a program a part of this test. */
function plain() {
  const { NODE_TEST_CONTEXT, NODE_OPTIONS, ...rest } = process.env;
  return { ...rest, NEXT_TELEMETRY_DISABLED: '1' };
}

describe('the tarball', () => {
  test('publint finds nothing', () => tool('publint', [TARBALL, '--strict']));
  // Before Node 12 there were no `exports`, which is what the first one leaves out.
  test('the types are right however it is imported', () =>
    tool('attw', [TARBALL, '--profile', 'node16', '--exclude-entrypoints', 'core.wasm']));
});

describe('projects', { concurrency: 2 }, () => {
  test('next, in its Node and its edge runtime', () => next());
  test('node, import', () => runs('node/program.mjs'));
  test('node, require', () => runs('node/program.cjs'));

  const strict = ['--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--types', ''];
  const types = [...strict, '--lib', 'es2022,dom,esnext.disposable'];
  test('typescript, as Node resolves', async () => {
    const node16 = [...types, '--module', 'nodenext', '--moduleResolution', 'nodenext'];
    await tool('tsc', [...node16, '--noEmit', 'uses.ts', 'page.ts', 'required.cts'], 'typescript');
    await tool('tsc', [...node16, 'program.ts'], 'typescript');
    await runs('typescript/program.js');
  });
  test('typescript, as bundlers resolve', async () => {
    const bundler = [...types, '--module', 'esnext', '--moduleResolution', 'bundler', '--noEmit'];
    await tool('tsc', [...bundler, 'uses.ts', 'page.ts', 'program.ts'], 'typescript');
  });
  test('typescript, for a browser', async () => {
    const bundler = [...types, '--module', 'esnext', '--moduleResolution', 'bundler', '--noEmit'];
    const browser = ['--customConditions', 'browser', 'browser.ts'];
    await tool('tsc', [...bundler, ...browser], 'typescript');
  });

  for (const format of ['esm', 'cjs']) {
    test(`esbuild, ${format}`, async () => {
      const extension = { esm: 'mjs', cjs: 'cjs' }[format];
      const out = path.join(OUT, `esbuild-${format}`, `program.${extension}`);
      const args = ['--bundle', '--platform=node', '--target=node20', `--format=${format}`];
      await tool('esbuild', [`node/program.${extension}`, ...args, `--outfile=${out}`]);
      await bundleRuns(out);
    });
  }
  test('webpack', async () => {
    const out = path.join(OUT, 'webpack');
    await webpack('node/program.mjs', 'node20', path.join(out, 'program.cjs'));
    await bundleRuns(path.join(out, 'program.cjs'));
  });
  test('vite, built', async () => {
    const out = path.join(OUT, 'vite');
    await tool('vite', ['build', '--outDir', out, '--emptyOutDir'], 'vite');
    await bundleRuns(path.join(out, 'program.mjs'));
  });
  test('vite, in development', () => runs('dev.mjs', 'vite'));

  test('a page, by esbuild', async () => {
    const out = path.join(OUT, 'page-esbuild');
    const args = ['--bundle', '--minify', '--format=esm', `--outfile=${out}/program.js`];
    await tool('esbuild', ['page/program.mjs', ...args]);
    await page(out);
  });
  test('a page, by webpack', async () => {
    const out = path.join(OUT, 'page-webpack');
    await webpack('page/program.mjs', 'web', path.join(out, 'program.js'));
    await page(out);
  });
  test('the example of a page, built by vite', async () => {
    const out = path.join(OUT, 'page-vite');
    await tool('vite', ['build', '--outDir', out, '--emptyOutDir'], 'examples/vite-page');
    hasOneWasm(out, 'client.js');
    await opens(served(out), isViewed);
  });
  test('the example of a page, by vite in development', () =>
    opens(async () => {
      const server = await createServer({
        root: path.join(HERE, 'examples/vite-page'),
        cacheDir: path.join(OUT, 'page-vite-cache'),
        logLevel: 'error',
        server: { host: '127.0.0.1', port: 0 },
      });
      await server.listen();
      return { url: server.resolvedUrls.local[0], close: () => server.close() };
    }, isViewed));

  test(
    'a worker of Cloudflare’s, whose usage arrives after its answer',
    { timeout: 60_000 },
    async () => {
      const out = path.join(OUT, 'workerd');
      const args = ['--bundle', '--format=esm', '--conditions=workerd', '--loader:.wasm=copy'];
      const external = '--external:cloudflare:workers';
      await tool('esbuild', ['workerd/worker.mjs', ...args, external, `--outdir=${out}`]);
      await worker(out);
    },
  );

  test('the example with Express', () => express());

  test('vitest', () => tool('vitest', ['run'], 'vitest'));
  test('jest', () => tool('jest', [], 'jest'));
});

function webpack(program, target, file) {
  const args = ['webpack/build.mjs', program, target, file];
  return promisify(execFile)(process.execPath, args, { cwd: HERE });
}

async function express() {
  const marketplace = await startMarketplace();
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const set = { CLOUDNESTLE_SPOOL_DIR: path.join(OUT, 'spools/express'), PORT: '0' };
  const server = spawn(process.execPath, ['examples/node-express/server.mjs'], {
    cwd: HERE,
    env: { ...plain(), ...marketplace.environment(), ...set },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    const url = await new Promise((resolve, reject) => {
      server.stdout.setEncoding('utf8').once('data', (line) => resolve(line.trim()));
      ended.then(() => reject(new Error('the example has ended')));
    });
    const ask = async (method, what, token) => {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await fetch(url + what, { method, headers });
      return [answer.status, await answer.json()];
    };
    const [status, found] = await ask('GET', 'search?q=faiss', accessToken);
    assert.deepEqual([status, found.customer, found.for], [200, 'cus_ravi', 'faiss']);
    assert.deepEqual(await ask('GET', 'search', 'nobody'), [401, { error: 'token_malformed' }]);
    assert.equal((await ask('POST', 'export', accessToken))[0], 200);
    // It is asked to end, and delivers first.
    server.kill('SIGTERM');
    await ended;
    assert.equal(await marketplace.used('cus_ravi', 'search'), 1);
    assert.equal(await marketplace.used('cus_ravi', 'export'), 1);
  } finally {
    server.kill();
    await marketplace.stop();
  }
}

async function worker(out) {
  const files = readdirSync(out);
  const wasm = files.filter((file) => file.endsWith('.wasm'));
  assert.equal(wasm.length, 1, `${files}`);
  const marketplace = await startMarketplace();
  const miniflare = new Miniflare({
    modulesRoot: out,
    modules: [
      { type: 'ESModule', path: path.join(out, 'worker.js') },
      { type: 'CompiledWasm', path: path.join(out, wasm[0]) },
    ],
    compatibilityDate: '2026-04-01',
    bindings: marketplace.environment(),
  });
  try {
    const { accessToken } = await marketplace.tokenPair('cus_ravi');
    const headers = { authorization: `Bearer ${accessToken}` };
    for (let request = 0; request < 2; request += 1) {
      const answer = await miniflare.dispatchFetch('http://worker/', { headers });
      assert.deepEqual(await answer.json(), { customerId: 'cus_ravi' });
    }
    while ((await marketplace.used('cus_ravi', 'search')) < 2) await sleep(20);
  } finally {
    await miniflare.dispose();
    await marketplace.stop();
  }
}

async function next() {
  const folder = path.join(HERE, 'next');
  rmSync(path.join(folder, '.next'), { recursive: true, force: true });
  const marketplace = await startMarketplace();
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  const env = {
    ...marketplace.environment(),
    CLOUDNESTLE_SPOOL_DIR: path.join(OUT, 'spools/next'),
  };
  await tool('next', ['build'], 'next', env);
  const bin = path.join(HERE, 'node_modules/next/dist/bin/next');
  const server = spawn(process.execPath, [bin, 'start', '--port', '0'], {
    cwd: folder,
    env: { ...plain(), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    const url = await new Promise((resolve, reject) => {
      let said = '';
      server.stdout.setEncoding('utf8').on('data', (text) => {
        said += text;
        const [found] = said.match(/http:\/\/localhost:\d+/) ?? [];
        if (found !== undefined && said.includes('Ready')) resolve(found);
      });
      ended.then(() => reject(new Error(`next has ended:\n${said}`)));
    });
    const headers = { authorization: `Bearer ${accessToken}` };
    for (const [at, where] of ['user', 'edge'].entries()) {
      const answer = await fetch(`${url}/${where}`, { headers });
      assert.deepEqual(await answer.json(), { customerId: 'cus_ravi' });
      assert.equal(await marketplace.used('cus_ravi', 'search'), at + 1);
    }
  } finally {
    server.kill();
    await ended;
    await marketplace.stop();
  }
}
