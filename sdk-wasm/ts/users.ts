/**
 * Users who were validated, by token. The map is here, because copying a token into the core costs ten
 * times the look-up; whether an entry still holds is the core's to say, by a number.
 */
import type { Bridge } from './bridge.js';
import type { BackendCore } from './core.js';
import type { User } from './types.js';

/** As many as the core remembers. A token has some 500 characters, which its map shares with the program. */
const MAX_USERS = 10_000;

interface Held {
  readonly user: User;
  readonly number: number;
}

export class Users {
  readonly #bridge: Bridge<BackendCore>;
  #generation = 0;
  readonly #held = new Map<string, Held>();

  constructor(bridge: Bridge<BackendCore>) {
    this.#bridge = bridge;
  }

  /** The user of a token who is known to be good now. */
  get(token: string): User | undefined {
    const held = this.#held.get(token);
    if (held === undefined || this.#generation !== this.#bridge.generation) return undefined;
    const ageMs = this.#bridge.ask((core) => core.still_good(held.number));
    return ageMs < 0 ? undefined : { ...held.user, freshness: 'fresh', ageMs };
  }

  /** Holds a user who was just found good. */
  hold(token: string, user: User): void {
    if (this.#generation !== this.#bridge.generation) {
      this.#held.clear(); // its numbers were another core's
      this.#generation = this.#bridge.generation;
    }
    this.forget(token);
    const number = this.#bridge.ask((core) => core.hold_user(token));
    if (number === 0) return;
    if (this.#held.size >= MAX_USERS) {
      for (const oldest of this.#held.keys()) {
        this.forget(oldest);
        break;
      }
    }
    this.#held.set(token, { user, number });
  }

  forget(token: string): void {
    const held = this.#held.get(token);
    if (held === undefined) return;
    this.#held.delete(token);
    if (this.#generation === this.#bridge.generation) {
      this.#bridge.tell((core) => core.forget_user(held.number));
    }
  }
}
