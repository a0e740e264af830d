/** The acknowledgement of usage. */
import type { Bridge } from './bridge.js';
import type { Core } from './core.js';
import { internal } from './errors.js';
import { whenForgotten } from './forgotten.js';
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

/** What the core keeps of a receipt ends with it. */
const forgotten = whenForgotten<Kept>(({ bridge, generation, number }) => {
  if (bridge.generation === generation) bridge.tell((core) => core.forget_receipt(number));
});

interface Kept {
  readonly bridge: Bridge;
  readonly generation: number;
  readonly number: number;
}

class KeptReceipt implements Receipt {
  readonly id: string;
  readonly #kept: Kept;
  #persisted: Promise<void> | undefined;
  #delivered: Promise<void> | undefined;

  constructor(id: string, kept: Kept) {
    this.id = id;
    this.#kept = kept;
    forgotten.register(this, kept);
  }

  get persisted(): Promise<void> {
    return (this.#persisted ??= quietly(
      this.#ask((core, call, receipt) => core.persisted(call, receipt)).then(() => undefined),
    ));
  }

  get delivered(): Promise<void> {
    return (this.#delivered ??= quietly(
      this.#ask((core, call, receipt) => core.delivered(call, receipt)).then(() => undefined),
    ));
  }

  async reference(): Promise<EventRef> {
    const json = await this.#ask((core, call, receipt) => core.reference(call, receipt));
    return camelized(JSON.parse(json) as Json) as unknown as EventRef;
  }

  toJSON(): { id: string } {
    return { id: this.id };
  }

  #ask(question: (core: Core, call: number, receipt: number) => void): Promise<string> {
    const { bridge, generation, number } = this.#kept;
    if (bridge.generation !== generation) {
      return Promise.reject(internal(new Error('The receipt is of an instance that has failed.')));
    }
    return bridge.call((core, call) => question(core, call, number));
  }
}

class KeptConsumed extends KeptReceipt implements Consumed {
  readonly overage: boolean;

  constructor(id: string, kept: Kept, overage: boolean) {
    super(id, kept);
    this.overage = overage;
  }
}

/** What the core tells of a receipt. */
interface Told {
  id: string;
  receipt: number;
  overage?: boolean;
}

/** A receipt as the core tells it. @internal */
export function receiptOf(json: string, bridge: Bridge): Receipt {
  const { id, receipt } = JSON.parse(json) as Told;
  return new KeptReceipt(id, { bridge, generation: bridge.generation, number: receipt });
}

/** What was allowed, as the core tells it. @internal */
export function consumedOf(json: string, bridge: Bridge): Consumed {
  const { id, receipt, overage } = JSON.parse(json) as Told;
  const kept = { bridge, generation: bridge.generation, number: receipt };
  return new KeptConsumed(id, kept, overage === true);
}

/** A failure that nobody looks at is no unhandled rejection. */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
