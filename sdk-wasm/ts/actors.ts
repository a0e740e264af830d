/** Who has done something by a token before: what they do next is noted without it, and without waiting. */
import type { Bridge } from './bridge.js';
import type { BackendCore } from './core.js';
import { usageOf } from './face.js';
import { Held } from './held.js';
import type { UsageOptions } from './options.js';
import { receiptOf, type Receipt } from './receipt.js';

export class Actors {
  readonly #bridge: Bridge<BackendCore>;
  readonly #held: Held<{ readonly number: number }>;

  constructor(bridge: Bridge<BackendCore>) {
    this.#bridge = bridge;
    this.#held = new Held(bridge, (core, number) => core.forget_actor(number));
  }

  /** Notes what was done; `undefined` if nothing was noted, because it has to wait or is wrong. */
  track(token: string, action: string, options: UsageOptions): Receipt | undefined {
    const held = this.#held.get(token);
    if (held === undefined) return undefined;
    const [what, quantity, particulars] = usageOf(action, options);
    const told = this.#bridge.ask((core) =>
      core.track_at_once(held.number, what, quantity, particulars),
    );
    return told === '' ? undefined : receiptOf(told, this.#bridge);
  }

  /** Holds who has just done something. */
  hold(token: string): void {
    try {
      const number = this.#bridge.ask((core) => core.hold_actor(token));
      this.#held.set(token, { number }, this.#bridge.generation);
    } catch {
      // What they did is noted: its caller must not try again because the SDK has gone meanwhile.
    }
  }
}
