/** The acknowledgement of usage. It is made of numbers: the core keeps nothing of it but the log it is of. */
import type { Bridge } from './bridge.js';
import type { Core } from './core.js';
import { internal } from './errors.js';
import { camelized, type Json } from './names.js';
import type { EventRef } from './types.js';

/** The acknowledgement of an event: it is written down and will be sent until it is answered. */
export interface Receipt {
  /** The event's id, `evt_…`, as the marketplace will have it. */
  readonly id: string;
  /** Resolves when the event survives the loss of power. */
  readonly persisted: Promise<void>;
  /** Resolves when the marketplace has counted the event; rejects with why it will never be. */
  readonly delivered: Promise<void>;
  /** What the event is called when it is to be corrected. */
  reference(): Promise<EventRef>;
}

/** They may, and it is noted. */
export interface Consumed extends Receipt {
  /** It was allowed because nobody could be asked, and the solution wants it so. */
  readonly overage: boolean;
}

type Question = (core: Core, call: number, id: string, log: number, ticket: number) => void;

class ToldReceipt implements Receipt {
  readonly id: string;
  /** The event's id, the number of its log, and its ticket there. */
  readonly #told: string;
  readonly #bridge: Bridge;
  readonly #generation: number;
  #persisted: Promise<void> | undefined;
  #delivered: Promise<void> | undefined;

  /** A receipt as the core tells it. */
  constructor(told: string, bridge: Bridge) {
    this.id = told.slice(0, told.indexOf(' '));
    this.#told = told;
    this.#bridge = bridge;
    this.#generation = bridge.generation;
  }

  get persisted(): Promise<void> {
    return (this.#persisted ??= quietly(
      this.#ask((core, call, ...event) => core.persisted(call, ...event)),
    ));
  }

  get delivered(): Promise<void> {
    return (this.#delivered ??= quietly(
      this.#ask((core, call, ...event) => core.delivered(call, ...event)),
    ));
  }

  async reference(): Promise<EventRef> {
    const json = await this.#ask((core, call, ...event) => core.reference(call, ...event));
    return camelized(JSON.parse(json) as Json) as unknown as EventRef;
  }

  toJSON(): { id: string } {
    return { id: this.id };
  }

  #ask(question: Question): Promise<string> {
    if (this.#bridge.generation !== this.#generation) {
      return Promise.reject(internal(new Error('The receipt is of an instance that has failed.')));
    }
    const [id = '', log, ticket] = this.#told.split(' ');
    return this.#bridge.call((core, call) => question(core, call, id, Number(log), Number(ticket)));
  }
}

class ToldConsumed extends ToldReceipt implements Consumed {
  readonly overage: boolean;

  constructor(told: string, bridge: Bridge) {
    super(told, bridge);
    this.overage = told.endsWith(' overage');
  }
}

/** A receipt as the core tells it. @internal */
export function receiptOf(told: string, bridge: Bridge): Receipt {
  return new ToldReceipt(told, bridge);
}

/** What was allowed, as the core tells it. @internal */
export function consumedOf(told: string, bridge: Bridge): Consumed {
  return new ToldConsumed(told, bridge);
}

/** A failure that nobody looks at is no unhandled rejection. */
function quietly(asked: Promise<string>): Promise<void> {
  const promise = asked.then(() => undefined);
  promise.catch(() => undefined);
  return promise;
}
