/**
 * The core, as the bindings have it: a backend's module and a client's, of which a program loads one.
 */
import type { Core as Backend } from '../wasm/backend/core.js';
import type { Core as Client } from '../wasm/client/core.js';

export type BackendCore = Backend;
export type ClientCore = Client;

/** What both have. */
export type Core = Pick<Backend, Exclude<keyof Backend & keyof Client, 'exchange_code'>>;

/** A module's way in. */
export interface Bindings {
  readonly Core: new (host: never, settings: string) => Core;
  initSync(loaded: { readonly module: WebAssembly.Module }): unknown;
  __wbg_reset_state(): void;
}
