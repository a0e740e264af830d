/** A pair that is renewed before it ends. */
import type { Bridge } from './bridge.js';
import type { Core } from './core.js';
import { isMarketplaceError, jsonOf, text } from './errors.js';
import { whenForgotten } from './forgotten.js';
import type { KeptPair } from './kept_pair.js';
import { camelized, snaked, type Json } from './names.js';
import type { Source } from './tabs.js';
import type { TokenPair } from './types.js';

/** What the core keeps of a source ends with it. */
const forgotten = whenForgotten<Kept>(({ bridge, generation, number }) => {
  if (bridge.generation === generation) bridge.tell((core) => core.forget_source(number));
});

interface Kept {
  readonly bridge: Bridge;
  readonly generation: number;
  readonly number: number;
}

/** What other tabs have to do with a source. @internal */
export const TABS = Symbol('tabs');

/** A pair that is kept good: `MarketplaceSDK.keepFresh`. */
export class TokenSource {
  readonly #bridge: Bridge;
  #kept: Kept;
  /** The pair that other tabs know of. */
  #told: string | undefined;
  /** @internal */
  readonly [TABS]: Source;
  /** The newest pair that is known, for another core. */
  #pair: TokenPair;
  /** Where it outlives the page. */
  #stored: KeptPair | undefined;
  /** As it is there. */
  #saved: string | undefined;

  /** @internal */
  constructor(bridge: Bridge, pair: TokenPair, stored: KeptPair | undefined) {
    this.#bridge = bridge;
    this.#pair = pair;
    this.#stored = stored;
    this.#kept = this.#keep();
    this.#told = this.#newest();
    this[TABS] = {
      newest: () => this.#newest(),
      news: () => {
        const newest = this.#newest();
        if (newest === this.#told) return undefined;
        this.#told = newest;
        return newest;
      },
      adopt: (pair) => {
        const { number } = this.#current();
        const adopted = this.#bridge.call((core, call) => core.adopt(call, number, pair));
        // What is no pair is nobody's; and what was taken over, others have been told.
        adopted.then(() => (this.#told = this.#newest())).catch(() => undefined);
      },
    };
  }

  /** An access token that is good now. Waits only if the one at hand has ended. */
  async accessToken(): Promise<string> {
    return this.#token((core, call, number) => core.access_token(call, number));
  }

  /** The token in place of one that was refused although it should have been good. */
  async replace(refused: string): Promise<string> {
    const checked = text(refused);
    return this.#token((core, call, number) => core.replace_token(call, number, checked));
  }

  /** The user has signed out: the pair is not kept for another page any more. */
  forget(): void {
    this.#stored?.remove();
    this.#stored = undefined;
  }

  async #token(ask: (core: Core, call: number, number: number) => void): Promise<string> {
    const { number } = this.#current();
    try {
      const json = await this.#bridge.call((core, call) => ask(core, call, number));
      this.#read();
      return JSON.parse(json) as string;
    } catch (error) {
      // A pair that is refused is of no use to another page.
      if (isMarketplaceError(error) && error.code.startsWith('refresh_token')) {
        this.#stored?.remove();
      }
      throw error;
    }
  }

  /** The newest pair: keep it where the first one came from. */
  get pair(): TokenPair {
    if (!this.#bridge.isLeft) this.#read();
    return this.#pair;
  }

  /** Shows no secret. */
  toJSON(): { expiresAt: string } {
    return { expiresAt: this.#pair.expiresAt };
  }

  #keep(): Kept {
    const json = jsonOf(snaked(this.#pair as unknown as Json));
    const number = this.#bridge.ask((core) => core.keep_fresh(json));
    const kept = { bridge: this.#bridge, generation: this.#bridge.generation, number };
    forgotten.register(this, kept);
    return kept;
  }

  #current(): Kept {
    if (this.#kept.generation !== this.#bridge.generation) this.#kept = this.#keep();
    return this.#kept;
  }

  #newest(): string | undefined {
    const { number } = this.#current();
    const newest = this.#bridge.ask((core) => core.newest_pair(number));
    if (newest !== undefined && newest !== this.#saved) this.#stored?.save((this.#saved = newest));
    return newest;
  }

  #read(): void {
    const json = this.#newest();
    if (json === undefined) return;
    this.#pair = camelized(JSON.parse(json) as Json) as unknown as TokenPair;
  }
}
