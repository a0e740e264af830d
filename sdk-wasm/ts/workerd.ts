/** The SDK on Cloudflare Workers. */
import * as workers from 'cloudflare:workers';
import wasm from '../wasm/backend/core_bg.wasm';
import { beginOn } from './web/edge.js';

beginOn(wasm, { requestInit: {}, waitUntil: () => workers.waitUntil });

export * from './index.js';
