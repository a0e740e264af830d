/**
 * Delivery that goes on after a function has answered. Platforms of functions freeze a program then, unless they
 * have been handed a promise to wait for.
 */
import type { Bridge } from './bridge.js';
import type { Core } from './core.js';

/** Has the platform wait for a promise. */
export type WaitUntil = (delivery: Promise<unknown>) => void;

/** How long the platform waits at most, in milliseconds: as long as one upload may take. */
const DELIVER_WITHIN = 10_000;

/** How long it waits to look again: a spool that can't be read answers at once, and must keep nobody from their turn. */
const LOOK_AGAIN_AFTER = 50;

export class Delivery {
  readonly #bridge: Bridge<Core>;
  readonly #find: () => WaitUntil | undefined;
  /** That of events that are noted now; once it has begun, there is another. */
  #next: Promise<void> | undefined;

  constructor(bridge: Bridge<Core>, find: () => WaitUntil | undefined) {
    this.#bridge = bridge;
    this.#find = find;
  }

  /** An event was noted. Each function that is being answered has to wait by itself, for the same delivery. */
  noted(): void {
    try {
      this.#find()?.((this.#next ??= this.#deliver()));
    } catch {
      // The event is noted, whoever may not wait for it: its caller must not try again.
    }
  }

  async #deliver(): Promise<void> {
    // What is noted in the same turn goes with it.
    await pause(0);
    this.#next = undefined;
    const until = Date.now() + DELIVER_WITHIN;
    try {
      // What others have noted meanwhile may be on its way in this function's name, and would end with it.
      for (let left = DELIVER_WITHIN; left > 0; left = until - Date.now()) {
        const within = left;
        await this.#bridge.call((core, call) => core.flush_before_return(call, within));
        if (this.#bridge.ask((core) => core.pending()) === 0) return;
        await pause(LOOK_AGAIN_AFTER);
      }
    } catch {
      // Closed, or begun anew. What could not be delivered was told by `usageWaiting`.
    }
  }
}

function pause(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis));
}
