/**
 * What the core holds for tokens, by numbers. The map is here, because copying a token into the core costs ten times
 * the look-up; whether an entry still holds is the core's to say.
 */
import type { Bridge } from './bridge.js';
import type { BackendCore } from './core.js';

/** As many as the core remembers. A token has some 500 characters, which its map shares with the program. */
const MAX_TOKENS = 10_000;

export class Held<V extends { readonly number: number }> {
  readonly #bridge: Bridge<BackendCore>;
  readonly #let: (core: BackendCore, number: number) => void;
  readonly #held = new Map<string, V>();
  #generation = 0;

  /** `letGo` has the core forget a number. */
  constructor(bridge: Bridge<BackendCore>, letGo: (core: BackendCore, number: number) => void) {
    this.#bridge = bridge;
    this.#let = letGo;
  }

  get(token: string): V | undefined {
    return this.#generation === this.#bridge.generation ? this.#held.get(token) : undefined;
  }

  /** Holds what the core of that generation has given a number; 0 is none. */
  set(token: string, value: V, generation: number): void {
    if (generation !== this.#bridge.generation) return;
    if (this.#generation !== this.#bridge.generation) {
      this.#held.clear(); // its numbers were another core's
      this.#generation = this.#bridge.generation;
    }
    this.forget(token);
    if (value.number === 0) return;
    if (this.#held.size >= MAX_TOKENS) {
      for (const oldest of this.#held.keys()) {
        this.forget(oldest);
        break;
      }
    }
    this.#held.set(token, value);
  }

  forget(token: string): void {
    const held = this.#held.get(token);
    if (held === undefined) return;
    this.#held.delete(token);
    if (this.#generation === this.#bridge.generation) {
      this.#bridge.tell((core) => this.#let(core, held.number));
    }
  }
}
