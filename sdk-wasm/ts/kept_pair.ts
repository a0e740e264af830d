/**
 * The pair of a page's user where it outlives the page, for programs that want that. Whatever runs in the page can read
 * it there.
 */
import { camelized, type Json } from './names.js';
import type { TokenStorage } from './options.js';
import type { TokenPair } from './types.js';

export class KeptPair {
  readonly #storage: TokenStorage;
  readonly #name: string;

  /** The pair for a solution of a marketplace. */
  constructor(storage: TokenStorage, url: string, solution: string) {
    this.#storage = storage;
    this.#name = `cloudnestle-marketplace/pair/${url}/${solution}`;
  }

  /** Keeps a pair, as JSON with the wire's names, in place of the last one. */
  save(pair: string): void {
    quietly(() => this.#storage.setItem(this.#name, pair));
  }

  /** The pair that was kept last; `undefined` if there is none that can be read. */
  load(): TokenPair | undefined {
    return quietly(() => {
      const json = this.#storage.getItem(this.#name);
      return json === null ? undefined : (camelized(JSON.parse(json) as Json) as never);
    });
  }

  remove(): void {
    quietly(() => this.#storage.removeItem(this.#name));
  }
}

/** A browser may have no room, or let nothing be stored: then a pair ends with its page. */
function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
