/** Vercel's functions, of Node and of the edge. */
import type { WaitUntil } from '../delivery.js';

/** Where the platform keeps the request that is being answered: `@vercel/functions` looks there, too. */
const CONTEXT = Symbol.for('@vercel/request-context');

interface Holder {
  get?(): { waitUntil?: WaitUntil } | undefined;
}

/** What a function's request waits with; `undefined` where this is no such function. */
export function waitUntilOfVercel(): WaitUntil | undefined {
  const holder = (globalThis as { [CONTEXT]?: Holder })[CONTEXT];
  const context = holder?.get?.();
  return context?.waitUntil === undefined ? undefined : (delivery) => context.waitUntil?.(delivery);
}
