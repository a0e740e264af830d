/** The SDK in browsers, and in whatever else its users hold. */
import { inflateSync } from 'fflate';
import * as bindings from '../wasm/client/core.js';
import { read } from '../wasm/client/packed.js';
import { useModule } from './engine.js';
import { usePlatform } from './session.js';
import { bytesOf } from './web/base64.js';
import { page } from './web/page.js';

// Packed, because text is what every bundler passes on, and packed text is hardly longer on the wire.
useModule(bindings, () => new WebAssembly.Module(read((text) => inflateSync(bytesOf(text)))));
usePlatform(page);

export * from './client_index.js';
