/** The SDK in browsers, and in whatever else its users hold. */
import { Core, __wbg_reset_state, initSync } from '../wasm/client/core.js';
import { read } from '../wasm/client/packed.js';
import { useModule } from './engine.js';
import { usePlatform } from './session.js';
import { bytesOf } from './web/base64.js';
import { inflate } from './web/inflate.js';
import { page } from './web/page.js';

// Packed, because text is what every bundler passes on, and packed text is hardly longer on the wire.
useModule(
  { Core, initSync, __wbg_reset_state },
  () => new WebAssembly.Module(read((text, bytes) => inflate(bytesOf(text), bytes))),
);
usePlatform(page);

export * from './client_index.js';
