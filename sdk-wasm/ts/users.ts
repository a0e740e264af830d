/** Users who were validated, and need no other look at their tokens while the core says so. */
import type { Bridge } from './bridge.js';
import type { BackendCore } from './core.js';
import { Held } from './held.js';
import { parsed } from './session.js';
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

  /** The user whom the core has just found good, as it tells them: they are held. */
  told(token: string, told: string, generation: number): User {
    const space = told.indexOf(' ');
    const user = parsed<User>(told.slice(space));
    this.#held.set(token, { number: Number(told.slice(0, space)), user }, generation);
    return user;
  }

  forget(token: string): void {
    this.#held.forget(token);
  }
}
