/** The SDK on Node. */
import { inflateRawSync } from 'node:zlib';
import { Core, __wbg_reset_state, initSync } from '../wasm/backend/core.js';
import { read } from '../wasm/backend/packed.js';
import { CATALOGUE } from './catalogue.js';
import { useModule } from './engine.js';
import { useProse } from './meaning.js';
import { node } from './node/platform.js';
import { usePlatform } from './session.js';

useModule({ Core, initSync, __wbg_reset_state }, () => {
  const inflated = read((text) => inflateRawSync(Buffer.from(text, 'base64')));
  return new WebAssembly.Module(inflated as Uint8Array<ArrayBuffer>);
});
usePlatform(node);
useProse(CATALOGUE);

export * from './index.js';
