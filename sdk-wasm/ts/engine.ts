/**
 * The one WebAssembly instance of a program, and what becomes of it when it panics.
 *
 * A panic leaves the instance's memory in a state nobody knows, so that nothing of it is used again: the
 * calls in flight are rejected, another instance begins, and each SDK opens its spool anew. What was
 * acknowledged is in there; what waited in memory alone is lost, and that is said.
 */
import type { Bindings, Core } from './core.js';

/** What lives in the instance. */
export interface Inhabitant {
  /** The instance is gone. */
  evicted(cause: unknown): void;
  /** There is another one. */
  reopen(): void;
}

let source: { readonly bindings: Bindings; load(): WebAssembly.Module } | undefined;
let loaded: Bindings | undefined;
let depth = 0;
/** Why the instance is not used any more. */
let failure: { readonly cause: unknown } | undefined;
const inhabitants = new Set<Inhabitant>();

/** Where the core's code comes from: each entry point of the package says so once. */
export function useModule(bindings: Bindings, load: () => WebAssembly.Module): void {
  source ??= { bindings, load };
}

/** Begins a core. What is wrong with its settings is thrown as JSON text. */
export function begin(host: object, settings: string): Core {
  if (source === undefined) throw new Error('The package was loaded by none of its entry points.');
  const { bindings, load } = source;
  if (loaded === undefined) {
    bindings.initSync({ module: load() });
    loaded = bindings;
  }
  return enter(() => new bindings.Core(host as never, settings));
}

export function moveIn(inhabitant: Inhabitant): void {
  inhabitants.add(inhabitant);
}

export function moveOut(inhabitant: Inhabitant): void {
  inhabitants.delete(inhabitant);
}

/** Makes a call into the instance. Every call goes through here. */
export function enter<T>(call: () => T): T {
  settle();
  depth += 1;
  try {
    return call();
  } catch (thrown) {
    // What the core refuses is JSON text; all else is a panic.
    if (typeof thrown !== 'string') fail(thrown);
    throw thrown;
  } finally {
    depth -= 1;
  }
}

/** Begins another instance now if there was a failure, and we are not within it. */
export function settle(): void {
  if (failure !== undefined && depth === 0) recover();
}

/** Nothing is done here that needs room on the stack: that may be what there is none of. */
function fail(cause: unknown): void {
  if (failure !== undefined) return;
  failure = { cause };
  queueMicrotask(settle);
}

/** Begins another instance. What fails on the way is tried again by the next call. */
function recover(): void {
  const failed = failure;
  if (failed === undefined) return;
  const all = [...inhabitants];
  for (const inhabitant of all) inhabitant.evicted(failed.cause);
  loaded?.__wbg_reset_state();
  failure = undefined;
  for (const inhabitant of all) inhabitant.reopen();
}
