/** Users who were validated, and need no other look at their tokens while the core says so. */
import type { Bridge } from './bridge.js';
import type { BackendCore } from './core.js';
import { Held } from './held.js';
import type { User } from './types.js';

export class Users {
  readonly #bridge: Bridge<BackendCore>;
  readonly #held: Held<{ readonly number: number; readonly user: User }>;

  constructor(bridge: Bridge<BackendCore>) {
    this.#bridge = bridge;
    this.#held = new Held(bridge, (core, number) => core.forget_user(number));
  }

  /** The user of a token who is known to be good now. */
  get(token: string): User | undefined {
    const held = this.#held.get(token);
    if (held === undefined) return undefined;
    const ageMs = this.#bridge.ask((core) => core.still_good(held.number));
    return ageMs < 0 ? undefined : { ...held.user, freshness: 'fresh', ageMs };
  }

  /** Holds a user who was just found good. */
  hold(token: string, user: User): void {
    const number = this.#bridge.ask((core) => core.hold_user(token));
    this.#held.set(token, { number, user });
  }

  forget(token: string): void {
    this.#held.forget(token);
  }
}
