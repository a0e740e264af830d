/** The SDK on Vercel's edge runtime, and wherever else `?module` says that a module is wanted. */
import wasm from '../wasm/backend/core_bg.wasm?module';
import { beginOn } from './web/edge.js';
import { waitUntilOfVercel } from './web/vercel.js';

beginOn(wasm, { waitUntil: waitUntilOfVercel });

export * from './index.js';
