/** The SDK on Cloudflare Workers. */
import wasm from '../wasm/backend/core_bg.wasm';
import { beginOn } from './web/edge.js';

beginOn(wasm, {});

export * from './index.js';
