/** An edge runtime's primitives: those of the web, and a backend's core, because a secret can be kept there. */
import { Core, __wbg_reset_state, initSync } from '../../wasm/backend/core.js';
import { CATALOGUE } from '../catalogue.js';
import { useModule } from '../engine.js';
import { useProse } from '../meaning.js';
import { usePlatform } from '../session.js';
import type { Platform } from '../platform.js';
import { web } from './platform.js';

/** Edge runtimes compile no WebAssembly at run time: theirs comes compiled, by an import of the entry point. */
export function beginOn(wasm: WebAssembly.Module, own: Partial<Platform>): void {
  // A sandbox may hand in a module of another realm, which the bindings would take for its bytes.
  if (!(wasm instanceof WebAssembly.Module)) {
    Object.setPrototypeOf(wasm, WebAssembly.Module.prototype);
  }
  useModule({ Core, initSync, __wbg_reset_state }, () => wasm);
  useProse(CATALOGUE);
  usePlatform({
    ...web,
    ...own,
    // Asked when an SDK is built: what is bound to a request is not there before.
    get environment() {
      const process = (globalThis as { process?: { env?: Record<string, string | undefined> } })
        .process;
      // There are no files: a folder is for the same app's functions on Node.
      return { ...process?.env, CLOUDNESTLE_SPOOL_DIR: undefined };
    },
  });
}
