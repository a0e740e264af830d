// Makes the package of what is compiled: `dist/`, of `ts/` and of `wasm/`, which `cargo xtask` puts here.
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

const wasm = readFileSync('wasm/core_bg.wasm');
writeFileSync(
  'wasm/core.base64.js',
  `const text =\n  '${wasm.toString('base64')}';\nexport const decode = (read) => read(text);\n`,
);
writeFileSync(
  'wasm/core.base64.d.ts',
  'export declare function decode(read: (text: string) => Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>;\n',
);

rmSync('dist', { recursive: true, force: true });
for (const [format, folder] of [
  ['esm', 'dist'],
  ['cjs', 'dist/cjs'],
]) {
  await build({
    entryPoints: ['ts/node.ts', 'ts/testing.ts'],
    outdir: folder,
    bundle: true,
    format,
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'none',
    external: ['@cloudnestle/mock-server'],
    // In CommonJS the server's package is required: there are test runners that have no other way.
    supported: { 'dynamic-import': format === 'esm' },
    // What the bindings fetch their module with when they are given none. They always are.
    define: { 'import.meta.url': 'undefined' },
  });
}
// What is in this folder is no module, whatever the package says.
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n');
for (const folder of ['dist', 'dist/cjs']) {
  const types = ['tsc', '--project', 'tsconfig.json', '--outDir', folder];
  execFileSync('npx', types, { stdio: 'inherit' });
  const named = new Set();
  for (const entry of ['node', 'testing']) reachable(path.join(folder, `${entry}.d.ts`), named);
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
