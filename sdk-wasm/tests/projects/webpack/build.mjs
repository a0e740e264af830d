// Bundles a program: `node build.mjs PROGRAM TARGET FILE`.
import path from 'node:path';
import webpack from 'webpack';

const [entry, target, file] = process.argv.slice(2);
const compiler = webpack({
  mode: 'production',
  target,
  entry: path.resolve(entry),
  output: { path: path.dirname(file), filename: path.basename(file) },
  performance: { hints: false },
});
compiler.run((error, stats) => {
  if (error) throw error;
  if (stats.hasErrors() || stats.hasWarnings()) {
    console.error(stats.toString());
    process.exitCode = 1;
  }
});
