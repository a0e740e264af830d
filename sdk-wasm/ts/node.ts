/** The SDK on Node. */
import { inflateRawSync } from 'node:zlib';
import * as bindings from '../wasm/backend/core.js';
import { read } from '../wasm/backend/packed.js';
import { useModule } from './engine.js';
import { node } from './node/platform.js';
import { usePlatform } from './session.js';

useModule(bindings, () => {
  const inflated = read((text) => inflateRawSync(Buffer.from(text, 'base64')));
  return new WebAssembly.Module(inflated as Uint8Array<ArrayBuffer>);
});
usePlatform(node);

export * from './index.js';
