/** What an SDK and those that have other options share, and how each makes its calls. */
import type { Bridge, Surroundings } from './bridge.js';
import type { Core } from './core.js';
import { Delivery, type WaitUntil } from './delivery.js';
import { Emitter } from './events.js';
import { camelized, type Json } from './names.js';
import type { KeptPair } from './kept_pair.js';
import type { CallOptions } from './options.js';
import type { Platform } from './platform.js';
import { Tabs } from './tabs.js';
import { Unkept } from './unkept.js';

/** How long `close` and a program's natural end take at most, unless told otherwise, in milliseconds. */
export const CLOSE_WITHIN = 3_000;

let platform: Platform | undefined;

/** Which platform this is: each entry point of the package says so once. @internal */
export function usePlatform(own: Platform): void {
  platform ??= own;
}

/** The platform of the entry point. */
export function thePlatform(): Platform {
  if (platform === undefined)
    throw new Error('The package was loaded by none of its entry points.');
  return platform;
}

/** What a session begins with. */
export interface Beginning {
  readonly fetch: typeof globalThis.fetch | undefined;
  readonly secretKeyProvider?: (() => Promise<string | undefined>) | undefined;
  readonly waitUntil?: WaitUntil | undefined;
  readonly kept?: KeptPair | undefined;
  /** For the core, by its words; what is `undefined` is not set. */
  readonly settings: Readonly<Record<string, Json | undefined>>;
}

export class Session<C extends Core> {
  readonly platform: Platform;
  readonly bridge: Bridge<C>;
  readonly emitter: Emitter;
  readonly tabs: Tabs;
  readonly delivery: Delivery;
  readonly unkept: Unkept;
  readonly kept: KeptPair | undefined;
  /** What is to be undone when the SDK is closed, its core last. */
  readonly leave: (() => void)[];
  readonly #defaults: CallOptions;

  private constructor(
    shared: Pick<
      Session<C>,
      'platform' | 'bridge' | 'emitter' | 'tabs' | 'delivery' | 'unkept' | 'kept' | 'leave'
    >,
    defaults: CallOptions,
  ) {
    this.platform = shared.platform;
    this.bridge = shared.bridge;
    this.emitter = shared.emitter;
    this.tabs = shared.tabs;
    this.delivery = shared.delivery;
    this.unkept = shared.unkept;
    this.kept = shared.kept;
    this.leave = shared.leave;
    this.#defaults = defaults;
  }

  /** Begins one whose core asks `bridgeOf` for what it needs. */
  static begin<C extends Core>(
    beginning: Beginning,
    bridgeOf: (around: Surroundings) => Bridge<C>,
  ): Session<C> {
    const { fetch, secretKeyProvider, waitUntil, kept, settings } = beginning;
    const platform = thePlatform();
    const emitter = new Emitter();
    const isInMemory = settings['spoolInMemory'] === true || !platform.keepsUsage();
    const unkept = new Unkept(emitter, isInMemory);
    const given = Object.entries(settings).filter(([, value]) => value !== undefined);
    const bridge = bridgeOf({
      platform,
      fetch: platform.fetchBy(fetch),
      settings: JSON.stringify(Object.fromEntries(given)),
      secretKeyProvider,
      onEvent: (json) => emitter.tell(json),
      onFailure: () => {
        const count = unkept.lost();
        const event = { type: 'usageDropped', count, reason: 'damaged' };
        // Not now: a listener may call the SDK, which is beginning anew.
        if (count > 0) queueMicrotask(() => emitter.tell(JSON.stringify(event)));
        return count;
      },
    }).begin();
    const pending = (): number => bridge.ask((core) => core.pending());
    const drain = async (left = 0): Promise<number> => {
      const waiting = pending();
      if (waiting === 0 || waiting === left) return waiting;
      await bridge.call((core, call) => core.flush_before_return(call, CLOSE_WITHIN));
      return pending();
    };
    const tabs = new Tabs(platform.channel());
    // The event comes a moment before the pair is in place.
    emitter.on('tokenRefreshed', () => setTimeout(() => tabs.tell()));
    const delivery = new Delivery(bridge, () => waitUntil ?? platform.waitUntil());
    const idle = platform.whenIdle(drain, () => bridge.leave());
    const leave = [idle, () => tabs.leave(), () => bridge.leave()];
    return new Session({ platform, bridge, emitter, tabs, delivery, unkept, kept, leave }, {});
  }

  /** The same, with these options for each call unless the call has its own. */
  with(defaults: CallOptions): Session<C> {
    return new Session(this, { ...this.#defaults, ...defaults });
  }

  /** Makes a call whose answer is an object. */
  async call<R>(start: (core: C, call: number) => void, options?: CallOptions): Promise<R> {
    return parsed<R>(await this.ask(start, options));
  }

  /** Makes a call that has a deadline of its own, and heeds no other. */
  async within<R>(start: (core: C, call: number) => void): Promise<R> {
    return parsed<R>(await this.bridge.call(start));
  }

  /** An event was noted. */
  noted(): void {
    this.unkept.noted();
    this.delivery.noted();
  }

  /** Lets go of everything. */
  end(): void {
    for (const leave of this.leave.splice(0)) leave();
  }

  /** Whether the program has given up a call before it is made. */
  isAborted(options: CallOptions): boolean {
    return (options.signal ?? this.#defaults.signal)?.aborted === true;
  }

  /** Makes a call, and has its answer as the core gives it. */
  ask(start: (core: C, call: number) => void, options?: CallOptions): Promise<string> {
    return this.bridge.call(start, only({ ...this.#defaults, ...options }));
  }
}

/** What is for the call itself, of its options. */
export function only({ signal, deadlineMs }: CallOptions): CallOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  };
}

/** An answer, with JavaScript's names. */
export function parsed<R>(json: string): R {
  return camelized(JSON.parse(json) as Json) as R;
}
