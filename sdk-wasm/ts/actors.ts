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
    const facts = factsOf(options);
    const rest = facts === undefined ? options : { quantity: options.quantity ?? 1 };
    const [what, quantity, particulars] = usageOf(action, rest);
    const told = this.#bridge.ask((core) =>
      core.track_at_once(held.number, what, quantity, facts ?? particulars),
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

/**
 * The metadata, if that is all there is to say of an event: how many facts, their names, and their values with a letter
 * for what they are. A text may have the letter that ends each: the core counts, and then nothing is noted.
 */
function factsOf({ metadata, idempotencyKey, amends, voids }: UsageOptions): string | undefined {
  if (!isRecord(metadata) || 'toJSON' in metadata) return undefined;
  if ((idempotencyKey ?? amends ?? voids) !== undefined) return undefined;
  const names = Object.keys(metadata);
  let facts = `\0${names.length}\0`;
  for (const name of names) {
    const value = metadata[name];
    if (typeof value === 'string') facts += `${name}\0s${value}\0`;
    else if (typeof value === 'number' && Number.isFinite(value)) facts += `${name}\0n${value}\0`;
    else if (typeof value === 'boolean') facts += `${name}\0${value ? 't' : 'f'}\0`;
    else return undefined;
  }
  // What is no text is for JSON to refuse: it would cross as another.
  return isText(facts) ? facts : undefined;
}

/** A program without types may have passed anything: what is no record is for JSON to refuse. */
const isRecord = (value: unknown): value is NonNullable<UsageOptions['metadata']> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isText = (text: string & { isWellFormed?(): boolean }): boolean =>
  text.isWellFormed?.() === true;
