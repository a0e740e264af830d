/**
 * Between one SDK and its core: the primitives the core asks for, and the calls that are open.
 *
 * The core asks under a number and is told later, so that every way into it is one of these `enter`s.
 */
import { bodyOf, pairs } from './answer.js';
import type { Core } from './core.js';
import { begin, enter, moveIn, moveOut, settle, type Inhabitant } from './engine.js';
import { errorOf, internal } from './errors.js';
import type { CallOptions } from './options.js';
import type { KeepAlive, Platform } from './platform.js';
import { wordsOf } from './words.js';

/** The longest that `setTimeout` can wait, in milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

interface Call {
  resolve(json: string): void;
  reject(error: unknown): void;
}

/** What an SDK brings besides the platform. */
export interface Surroundings {
  readonly platform: Platform;
  readonly fetch: typeof globalThis.fetch;
  readonly settings: string;
  readonly secretKeyProvider: (() => Promise<string | undefined>) | undefined;
  onEvent(json: string): void;
  /** The core has failed, and another begins; how many events are lost with it. */
  onFailure(): number;
}

/** What a backend's core and a client's both ask for; each has a bridge with what it asks for besides. */
export class Bridge<C extends Core = Core> implements Inhabitant {
  /** @internal */
  protected readonly around: Surroundings;
  readonly #keepAlive: KeepAlive;
  readonly #calls = new Map<number, Call>();
  readonly #timers = new Map<number, ReturnType<typeof setTimeout>>();
  readonly #requests = new Map<number, AbortController>();
  #core: C | undefined;
  #lastCall = 0;
  #failure: unknown;
  #isLeft = false;
  /** What the core had done when it was given up. */
  #last: string | undefined;
  /** Grows with each core: what an earlier one gave out is not for the next. */
  generation = 0;

  constructor(around: Surroundings) {
    this.around = around;
    this.#keepAlive = around.platform.keepAlive();
  }

  /** Begins the core, which asks for what it needs: not before all of the bridge is there. */
  begin(): this {
    this.#open();
    moveIn(this);
    return this;
  }

  /** Makes a call that is answered under its number. */
  call(start: (core: C, call: number) => void, options: CallOptions = {}): Promise<string> {
    if (options.signal?.aborted === true) return Promise.reject(options.signal.reason);
    const core = this.#current();
    if (core === undefined) return Promise.reject(this.#gone());
    const number = (this.#lastCall = (this.#lastCall + 1) >>> 0);
    return new Promise<string>((resolve, reject) => {
      try {
        this.#calls.set(number, this.#abortable(number, { resolve, reject }, options));
        enter(() => start(core, number));
        // Most calls are answered by now, and nothing is to be kept alive for them.
        if (this.#calls.has(number)) this.#keepAlive.open();
      } catch (thrown) {
        (this.#settle(number) ?? { reject }).reject(internal(thrown));
      }
    });
  }

  /** Makes a call that is answered at once. */
  ask<T>(question: (core: C) => T): T {
    const core = this.#current();
    if (core === undefined) throw this.#gone();
    try {
      return enter(() => question(core));
    } catch (thrown) {
      throw typeof thrown === 'string' ? errorOf(thrown) : internal(thrown);
    }
  }

  /** Tells the core something, if there is one. A panic is the affair of those who wait. */
  tell(word: (core: C) => void): void {
    const core = this.#core;
    if (core === undefined) return;
    try {
      enter(() => word(core));
    } catch {
      // Everybody who waited has been told.
    }
  }

  /** Whether the core was given up. */
  get isLeft(): boolean {
    return this.#isLeft;
  }

  /** What the SDK has done, or had when its core was given up. */
  stats(): string {
    return this.#last ?? this.ask((core) => core.stats());
  }

  /** Gives the core up: what it has not delivered is for the next one. */
  leave(): void {
    this.tell((core) => (this.#last = core.stats()));
    this.#isLeft = true;
    moveOut(this);
    const core = this.#core;
    this.#core = undefined;
    if (core !== undefined) {
      try {
        enter(() => core.free());
      } catch {
        // It is gone either way.
      }
    }
    this.#quiet();
    this.#rejectAll(this.#gone());
  }

  evicted(cause: unknown): void {
    this.#core = undefined;
    this.generation += 1;
    this.#quiet();
    this.#rejectAll(internal(cause, this.around.onFailure()));
  }

  reopen(): void {
    try {
      this.#open();
    } catch (thrown) {
      this.#failure = thrown;
    }
  }

  /** The core; another one, if the last has failed. */
  #current(): C | undefined {
    if (this.#core === undefined && !this.#isLeft) {
      try {
        settle();
        if (this.#core === undefined) this.#open();
      } catch (thrown) {
        this.#failure = thrown;
      }
    }
    return this.#core;
  }

  #open(): void {
    try {
      // The entry point loads the module that its SDK is for.
      this.#core = begin(this, this.around.settings) as C;
    } catch (thrown) {
      throw typeof thrown === 'string' ? errorOf(thrown) : thrown;
    }
  }

  #gone(): unknown {
    return this.#isLeft ? errorOf('{"code":"closed"}') : internal(this.#failure);
  }

  #quiet(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    for (const request of this.#requests.values()) request.abort();
    this.#requests.clear();
    this.abandon();
  }

  /**
   * Closes what the core has opened: it is gone.
   * @internal
   */
  protected abandon(): void {}

  #rejectAll(error: unknown): void {
    for (const number of [...this.#calls.keys()]) this.#settle(number)?.reject(error);
  }

  #settle(number: number): Call | undefined {
    const call = this.#calls.get(number);
    if (call !== undefined) {
      this.#calls.delete(number);
      if (this.#calls.size === 0) this.#keepAlive.done();
    }
    return call;
  }

  /** A call that is given up when its caller says so, or its time is over. */
  #abortable(number: number, call: Call, { signal, deadlineMs }: CallOptions): Call {
    if (signal === undefined && deadlineMs === undefined) return call;
    const giveUp = (reason: unknown): void => {
      const open = this.#settle(number);
      if (open === undefined) return;
      this.tell((core) => core.cancel(number));
      open.reject(reason);
    };
    const abort = (): void => giveUp(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const late = (): void => giveUp(errorOf('{"code":"deadline_exceeded","retryable":true}'));
    // What a timer can't wait for is no deadline, `Infinity` among it.
    const ends = deadlineMs !== undefined && deadlineMs <= LONGEST_TIMER;
    const timer = ends ? setTimeout(late, deadlineMs) : undefined;
    const forget = (): void => {
      signal?.removeEventListener('abort', abort);
      clearTimeout(timer);
    };
    return {
      resolve: (json) => (forget(), call.resolve(json)),
      reject: (error) => (forget(), call.reject(error)),
    };
  }

  /**
   * Tells something to the core that asks now. Another one has questions of its own under the same numbers.
   * @internal
   */
  protected whoAsks(): (word: (core: C) => void) => void {
    const { generation } = this;
    return (word) => {
      if (generation === this.generation) this.tell(word);
    };
  }

  // What the core asks for: `src/js.rs` has the words.

  /** @internal */
  wall(): number {
    return Date.now();
  }

  /** @internal */
  monotonic(): number {
    return performance.now();
  }

  /** @internal */
  random(bytes: Uint8Array<ArrayBuffer>): void {
    crypto.getRandomValues(bytes);
  }

  /** @internal */
  sleep(timer: number, millis: number): void {
    const step = Math.min(Math.ceil(millis), LONGEST_TIMER);
    const handle = setTimeout(() => {
      if (millis > step) return this.sleep(timer, millis - step);
      this.#timers.delete(timer);
      this.tell((core) => core.woken(timer));
    }, step);
    // Noted before anything else can fail: what is not, nobody stops.
    this.#timers.set(timer, handle);
    this.around.platform.background(handle);
  }

  /** @internal */
  stopTimer(timer: number): void {
    clearTimeout(this.#timers.get(timer));
    this.#timers.delete(timer);
  }

  /** @internal */
  send(request: number, method: string, url: string, headers: string[], body: Uint8Array): void {
    const abort = new AbortController();
    this.#requests.set(request, abort);
    const init: RequestInit = {
      method,
      headers: pairs(headers),
      redirect: 'manual',
      signal: abort.signal,
      ...this.around.platform.requestInit,
    };
    if (body.length > 0) init.body = body.slice();
    void this.#exchange(request, url, init);
  }

  async #exchange(request: number, url: string, init: RequestInit): Promise<void> {
    let isAnswered = false;
    try {
      const response = await this.around.fetch(url, init);
      isAnswered = true;
      const body = await bodyOf(response);
      if (!this.#requests.delete(request)) return;
      // A `fetch` of the program's own may have other values in them.
      const headers = [...response.headers].flat().map(String);
      this.tell((core) => core.sent(request, response.status, headers, body));
    } catch (error) {
      if (!this.#requests.delete(request)) return;
      const stage = isAnswered ? 'answer' : this.around.platform.stageOf(error);
      this.tell((core) => core.not_sent(request, stage, wordsOf(error)));
    }
  }

  /** @internal */
  giveUp(request: number): void {
    const abort = this.#requests.get(request);
    this.#requests.delete(request);
    abort?.abort();
  }

  /** @internal */
  verify(
    question: number,
    key: Uint8Array,
    data: Uint8Array,
    signature: Uint8Array,
  ): boolean | undefined {
    const verdict = this.around.platform.verify(key, data, signature);
    if (typeof verdict === 'boolean') return verdict;
    const tellIt = this.whoAsks();
    const tell = (good?: boolean): void => tellIt((core) => core.verified(question, good));
    verdict.then(tell, () => tell());
    return undefined;
  }

  /** @internal */
  soon(): void {
    queueMicrotask(() => this.tell((core) => core.run()));
  }

  /** @internal */
  answered(number: number, ok: boolean, json: string): void {
    const call = this.#settle(number);
    if (call === undefined) return;
    if (ok) call.resolve(json);
    else call.reject(errorOf(json));
  }

  /** @internal */
  event(json: string): void {
    // Not from within the core: a listener may call it.
    queueMicrotask(() => this.around.onEvent(json));
  }

  /** @internal */
  processId(): number {
    return this.around.platform.processId();
  }
}
