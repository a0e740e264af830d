/** The SDK on Node. */
import { decode } from '../wasm/core.base64.js';
import { useModule } from './engine.js';
import { node } from './node/platform.js';
import { usePlatform } from './sdk.js';

useModule(() => new WebAssembly.Module(decode((text) => Buffer.from(text, 'base64'))));
usePlatform(node);

export * from './index.js';
