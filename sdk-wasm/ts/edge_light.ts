/** The SDK on Vercel's edge runtime, and wherever else `?module` says that a module is wanted. */
import wasm from '../wasm/backend/core_bg.wasm?module';
import { beginOn } from './web/edge.js';

beginOn(wasm);

export * from './index.js';
