/** An edge runtime's primitives: those of the web, and a backend's core, because a secret can be kept there. */
import * as bindings from '../../wasm/backend/core.js';
import { useModule } from '../engine.js';
import { usePlatform } from '../session.js';
import { WITHOUT_CACHE, web } from './platform.js';

/** Edge runtimes compile no WebAssembly at run time: theirs comes compiled, by an import of the entry point. */
export function beginOn(wasm: WebAssembly.Module, requestInit: RequestInit = WITHOUT_CACHE): void {
  useModule(bindings, () => wasm);
  usePlatform({
    ...web,
    requestInit,
    // Asked when an SDK is built: what is bound to a request is not there before.
    get environment() {
      const process = (globalThis as { process?: { env?: Record<string, string | undefined> } })
        .process;
      return process?.env ?? {};
    },
  });
}
