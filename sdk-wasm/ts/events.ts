/** What the SDK does by itself, for programs that want to watch. */
import type { Code } from './catalogue.js';
import { errorOf, type MarketplaceError } from './errors.js';
import { camelized, type Json } from './names.js';
import type { LossReason, UsageEvent } from './types.js';

/** What each event tells. */
export interface EventMap {
  /** The marketplace can't be reached; answers come from what is known, usage waits in the spool. */
  offline: Record<never, never>;
  /** The marketplace answers again. */
  online: Record<never, never>;
  /** A limit of the marketplace is used up: calls that count against it wait for so long, or fail. */
  rateLimited: { readonly waitMs: number };
  /** A pair was renewed. */
  tokenRefreshed: Record<never, never>;
  /** Usage arrived. */
  usageDelivered: { readonly count: number };
  /** The marketplace will not count this event. The newest of them are kept, if they can be: see `rejectedUsage`. */
  usageRejected: { readonly event: UsageEvent; readonly code: Code; readonly kept: boolean };
  /** An alarm: usage is kept and tried again, but does not arrive. */
  usageWaiting: { readonly error: MarketplaceError };
  /** Events were dropped: the spool is full, or they waited in memory and the SDK has failed. */
  usageDropped: { readonly count: number; readonly reason: LossReason };
  /** An alarm: the spool's folder can't be written, so usage is kept in memory. */
  spoolInMemory: { readonly error: MarketplaceError };
  /** A customer comes near a hard limit: at 80 % and at 100 %, once in a window. */
  quotaWarning: {
    readonly customerId: string;
    readonly action: string;
    readonly used: number;
    readonly limit: number;
  };
  /** So many events came faster than they could be told. */
  missed: { readonly count: number };
}

/** Who is told of an event. */
export type Listener<E extends keyof EventMap> = (event: EventMap[E]) => void;

/** Each with what is called: for who wants to be told once, that is another. */
type Listeners = { [E in keyof EventMap]?: Map<Listener<E>, Listener<E>> };

export class Emitter {
  readonly #listeners: Listeners = {};

  on<E extends keyof EventMap>(name: E, listener: Listener<E>): void {
    this.#of(name).set(listener, listener);
  }

  once<E extends keyof EventMap>(name: E, listener: Listener<E>): void {
    this.#of(name).set(listener, (event) => {
      this.off(name, listener);
      listener(event);
    });
  }

  off<E extends keyof EventMap>(name: E, listener: Listener<E>): void {
    this.#listeners[name]?.delete(listener);
  }

  /** Tells an event as the core does. What a listener throws is its program's to handle. */
  tell(json: string): void {
    const told = JSON.parse(json) as { type: keyof EventMap; error?: Json } & Record<string, Json>;
    const { type, error, ...rest } = told;
    const event = camelized(rest) as Record<string, unknown>;
    if (error !== undefined) event['error'] = errorOf(JSON.stringify(error));
    const listeners = this.#listeners[type] as Map<unknown, (event: unknown) => void> | undefined;
    for (const listener of [...(listeners?.values() ?? [])]) listener(event);
  }

  #of<E extends keyof EventMap>(name: E): Map<Listener<E>, Listener<E>> {
    return (this.#listeners[name] ??= new Map() as never) as Map<Listener<E>, Listener<E>>;
  }
}
