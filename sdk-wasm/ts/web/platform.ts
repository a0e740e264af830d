/** The primitives that the web has in common: pages, workers and edge runtimes. */
import type { KeepAlive, Platform } from '../platform.js';
import { verifyEd25519 } from './crypto.js';

/** For a `fetch` that would otherwise answer from a cache, or add what a browser knows of a user. */
export const NOTHING_OF_OTHERS: RequestInit = { cache: 'no-store', credentials: 'omit' };

/** A program of the web ends when its user or its host says so, whatever is open. */
const NOBODY_WAITS: KeepAlive = { open: () => undefined, done: () => undefined };

const nothing = (): undefined => undefined;

export const web: Platform = {
  environment: {},
  fetchBy: (own) => own ?? ((input, init) => globalThis.fetch(input, init)),
  requestInit: NOTHING_OF_OTHERS,
  verify: verifyEd25519,
  keepsUsage: () => false,
  files: () => undefined,
  log: () => undefined,
  channel: () => undefined,
  stateDir: () => undefined,
  processId: () => 0,
  background: nothing,
  keepAlive: () => NOBODY_WAITS,
  // `fetch` does not say why it failed: the request may have arrived.
  stageOf: () => 'answer',
  waitUntil: nothing,
  whenIdle: () => nothing,
  whenAsked: () => nothing,
};
