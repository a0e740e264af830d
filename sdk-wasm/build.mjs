// Makes the package of what is compiled: `dist/`, of `ts/` and of `wasm/`, which `cargo xtask` puts here.
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { build } from 'esbuild';

for (const module of ['backend', 'client']) {
  const wasm = readFileSync(`wasm/${module}/core_bg.wasm`);
  const packed = deflateRawSync(wasm, { level: 9 });
  writeFileSync(
    `wasm/${module}/packed.js`,
    `const text =\n  '${packed.toString('base64')}';\nexport const read = (unpack) => unpack(text, ${wasm.length});\n`,
  );
  writeFileSync(
    `wasm/${module}/packed.d.ts`,
    'export declare function read<T>(unpack: (text: string, bytes: number) => T): T;\n',
  );
}

rmSync('dist', { recursive: true, force: true });
const common = {
  bundle: true,
  sourcemap: true,
  sourcesContent: false,
  legalComments: 'none',
  // What the bindings fetch their module with when they are given none. They always are.
  define: { 'import.meta.url': 'undefined' },
};
for (const [format, outdir] of [
  ['esm', 'dist'],
  ['cjs', 'dist/cjs'],
]) {
  const made = { ...common, outdir, format };
  await build({
    ...made,
    entryPoints: ['ts/node.ts', 'ts/testing.ts'],
    platform: 'node',
    target: 'node20',
    external: ['@cloudnestle/mock-server'],
    // In CommonJS the server's package is required: there are test runners that have no other way.
    supported: { 'dynamic-import': format === 'esm' },
  });
  await build({
    ...made,
    entryPoints: ['ts/client.ts', 'ts/prose.ts'],
    platform: 'browser',
    target: 'es2022',
  });
}
// What is in this folder is no module, whatever the package says.
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n');

// Edge runtimes have modules alone, and take WebAssembly as a file beside them.
copyFileSync('wasm/backend/core_bg.wasm', 'dist/core.wasm');
const beside = {
  name: 'beside',
  setup: (build) =>
    build.onResolve({ filter: /\.wasm(\?module)?$/ }, ({ path }) => ({
      path: `./core.wasm${path.endsWith('?module') ? '?module' : ''}`,
      external: true,
    })),
};
await build({
  ...common,
  entryPoints: ['ts/workerd.ts', 'ts/edge_light.ts'],
  outdir: 'dist',
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
  external: ['cloudflare:workers'],
  plugins: [beside],
});

const ENTRIES = {
  dist: ['node', 'testing', 'client', 'prose', 'workerd', 'edge_light'],
  'dist/cjs': ['node', 'testing', 'client', 'prose'],
};
for (const [folder, entries] of Object.entries(ENTRIES)) {
  const types = ['tsc', '--project', 'tsconfig.json', '--outDir', folder];
  execFileSync('npx', types, { stdio: 'inherit' });
  const named = new Set();
  for (const entry of entries) reachable(path.join(folder, `${entry}.d.ts`), named);
  for (const file of readdirSync(folder, { recursive: true })) {
    const declaration = path.join(folder, file);
    const isOurs = folder !== 'dist' || !file.startsWith('cjs');
    if (file.endsWith('.d.ts') && isOurs && !named.has(declaration)) rmSync(declaration);
  }
}

/** Notes the declarations that a file names, and those that they name: what a program sees. */
function reachable(file, seen) {
  if (seen.has(file)) return;
  seen.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/from '(\.[^']*)\.js'/g)) {
    reachable(path.join(path.dirname(file), `${name}.d.ts`), seen);
  }
}
