// Bundles a program for Node: `node build.mjs FOLDER`.
import path from 'node:path';
import webpack from 'webpack';

const compiler = webpack({
  mode: 'production',
  target: 'node20',
  entry: path.resolve(import.meta.dirname, '../node/program.mjs'),
  output: { path: process.argv[2], filename: 'program.cjs' },
});
compiler.run((error, stats) => {
  if (error) throw error;
  if (stats.hasErrors() || stats.hasWarnings()) {
    console.error(stats.toString());
    process.exitCode = 1;
  }
});
