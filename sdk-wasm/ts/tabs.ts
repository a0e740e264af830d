/**
 * Pairs that were renewed, between the programs of a user: the tabs of a site. One that renews a pair tells the others,
 * and one that begins asks. Whether a pair is taken over is the core's to say. Nothing is stored, and nobody is waited for.
 */
import type { Channel } from './platform.js';

/** A pair that is kept good, in this program. */
export interface Source {
  /** The newest pair, as JSON with the wire's names; `undefined` if there is none newer than the last time it was asked. */
  news(): string | undefined;
  /** The newest pair, whatever it was. */
  newest(): string | undefined;
  /** Takes that pair over, if it is this source's and newer. */
  adopt(pair: string): void;
}

/** What programs of different releases say to each other. */
type Word = { readonly pair: string } | { readonly ask: true };

export class Tabs {
  readonly #channel: Channel | undefined;
  /** Whoever is not held by the program any more is of no interest here. */
  readonly #sources = new Set<WeakRef<Source>>();

  constructor(channel: Channel | undefined) {
    this.#channel = channel;
    channel?.listen((word) => this.#hear(word as Partial<Record<'pair' | 'ask', unknown>> | null));
  }

  /** A source has begun: others may have a newer pair. */
  join(source: Source): void {
    if (this.#channel === undefined) return;
    this.#sources.add(new WeakRef(source));
    this.#channel.say({ ask: true } satisfies Word);
  }

  /** A pair was renewed here. */
  tell(): void {
    this.#each((source) => source.news());
  }

  leave(): void {
    this.#channel?.close();
    this.#sources.clear();
  }

  #hear(word: Partial<Record<'pair' | 'ask', unknown>> | null): void {
    if (typeof word !== 'object' || word === null) return;
    const { pair, ask } = word;
    if (ask === true) this.#each((source) => source.newest());
    if (typeof pair === 'string') this.#each((source) => source.adopt(pair));
  }

  /** Has each source do something, and says the pair that it gives. */
  #each(pairOf: (source: Source) => string | undefined | void): void {
    for (const source of this.#held()) {
      try {
        const pair = pairOf(source);
        if (pair !== undefined) this.#channel?.say({ pair } satisfies Word);
      } catch {
        // Its SDK has ended, or can't begin: nobody here waits for its pair.
      }
    }
  }

  #held(): Source[] {
    const held: Source[] = [];
    for (const reference of this.#sources) {
      const source = reference.deref();
      if (source === undefined) this.#sources.delete(reference);
      else held.push(source);
    }
    return held;
  }
}
