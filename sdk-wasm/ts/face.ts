/** What the SDK of a backend and that of a client have in common. */
import type { Core } from './core.js';
import { jsonOf, oneOf, text } from './errors.js';
import type { EventMap, Listener } from './events.js';
import { snaked, type Json } from './names.js';
import type { Actions, CallOptions, CommonOptions, UsageOptions } from './options.js';
import type { Platform } from './platform.js';
import { receiptOf, type Receipt } from './receipt.js';
import { CLOSE_WITHIN, parsed, type Session } from './session.js';
import { TABS, TokenSource } from './source.js';
import type {
  ClientStats,
  CloseReport,
  Quota,
  RejectedUsage,
  TokenPair,
  UsageStats,
  User,
  UserContextAnswer,
} from './types.js';

/** The calls of either; `S` is what its `stats` tell. */
export abstract class Face<T extends Actions, S> {
  readonly #session: Session<Core>;

  /** @internal */
  constructor(session: Session<Core>) {
    this.#session = session;
  }

  /** Resolves when calls can be made. They can be at once: those that come early wait by themselves. */
  ready(): Promise<this> {
    return Promise.resolve(this);
  }

  /** Who is this user? The answer says how sure it is. */
  async validateUser(token: string, options?: CallOptions): Promise<User> {
    const checked = text(token);
    return this.#session.call((core, call) => core.validate_user(call, checked), options);
  }

  /** May they do this? The user's tier, entitlements and quotas. */
  async getUserContext(token: string, options?: CallOptions): Promise<UserContextAnswer> {
    const checked = text(token);
    return this.#session.call((core, call) => core.get_user_context(call, checked), options);
  }

  /** Note that they did it. When this resolves, the event is taken, and will count once. */
  async trackUsage(
    token: string,
    action: T['actions'],
    options: UsageOptions = {},
  ): Promise<Receipt> {
    const [checked, usage] = [text(token), usageOf(action, options)];
    const track = (core: Core, call: number): void => core.track_usage(call, checked, ...usage);
    const told = await this.#session.ask(track, options);
    this.#session.noted();
    return receiptOf(told, this.#session.bridge);
  }

  /** Renews a pair. However many ask with the same pair, one request is made. */
  async refreshToken(pair: TokenPair, options?: CallOptions): Promise<TokenPair> {
    const json = jsonOf(snaked(pair as unknown as Json));
    return this.#session.call((core, call) => core.refresh(call, json), options);
  }

  /** Keeps a pair good: the source gives out its access token, and renews it before it ends. */
  keepFresh(pair: TokenPair): TokenSource {
    const source = new TokenSource(this.#session.bridge, pair, this.#session.kept);
    this.#session.tabs.join(source[TABS]);
    return source;
  }

  /** A pair for somebody who comes by without an account. */
  async createVisitor(options?: CallOptions): Promise<TokenPair> {
    return this.#session.call((core, call) => core.create_visitor(call), options);
  }

  /**
   * What a customer may use of the solution, has used, and when it begins anew. A backend names the customer;
   * a client has their token.
   */
  async quotas(whose: string, options?: CallOptions): Promise<Quota[]> {
    const checked = text(whose);
    return this.#session.call((core, call) => core.quotas(call, checked), options);
  }

  /** That of one action; `undefined` where it has no limit. */
  async quota(
    whose: string,
    action: T['actions'],
    options?: CallOptions,
  ): Promise<Quota | undefined> {
    const quotas = await this.quotas(whose, options);
    return quotas.find((quota) => quota.action === action);
  }

  /** Sends what is in the spool now, and resolves when the marketplace has answered for all of it. */
  async flush(options?: CallOptions): Promise<void> {
    await this.#session.call((core, call) => core.flush(call), options);
  }

  /** Delivers what it can within the deadline, and goes on: for functions that are frozen on return. */
  async flushBeforeReturn(deadlineMs: number): Promise<UsageStats> {
    return this.#session.within((core, call) => core.flush_before_return(call, deadlineMs));
  }

  /** What the marketplace has refused for good, the event and the reason. */
  async rejectedUsage(): Promise<RejectedUsage[]> {
    return this.#session.call((core, call) => core.rejected_usage(call));
  }

  /** Sends what was rejected once more, after a fix; how many events. */
  async replayRejected(): Promise<number> {
    return this.#session.call((core, call) => core.replay_rejected(call));
  }

  /**
   * Takes no more usage, delivers what it can, and resolves by the deadline with a report. After that the SDK makes no
   * call: what a receipt is to tell is to be asked before.
   */
  async close(deadlineMs: number = CLOSE_WITHIN): Promise<CloseReport> {
    if (this.#session.bridge.isLeft) return { usage: (this.stats() as ClientStats).usage };
    const close = (core: Core, call: number): void => core.close(call, deadlineMs);
    try {
      return await this.#session.within<CloseReport>(close);
    } finally {
      this.#session.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Lets go at once, and delivers nothing more: what waits in the spool is for the next program. */
  [Symbol.dispose](): void {
    this.#session.end();
  }

  /** What the SDK has done since it was built, or had when it was closed. */
  stats(): S {
    return parsed(this.#session.bridge.stats());
  }

  /** Has a listener told of what the SDK does by itself. */
  on<E extends keyof EventMap>(name: E, listener: Listener<E>): this {
    this.#session.emitter.on(name, listener);
    return this;
  }

  off<E extends keyof EventMap>(name: E, listener: Listener<E>): this {
    this.#session.emitter.off(name, listener);
    return this;
  }

  once<E extends keyof EventMap>(name: E, listener: Listener<E>): this {
    this.#session.emitter.once(name, listener);
    return this;
  }

  /** Shows no secret. */
  toJSON(): { stats: S } {
    return { stats: this.stats() };
  }
}

/** What was done, how much of it, and the particulars as JSON with the wire's names, if there are some. @internal */
export function usageOf(action: string, options: UsageOptions): [string, number, string] {
  const { quantity = 1, idempotencyKey, metadata, amends, voids } = options;
  const hasParticulars = metadata ?? idempotencyKey ?? amends ?? voids;
  const particulars = { idempotency_key: idempotencyKey, metadata, amends, voids };
  return [
    text(action),
    // What is no number is out of bounds, and so is 0.
    Number.isFinite(quantity) ? quantity : 0,
    hasParticulars === undefined ? '' : jsonOf(particulars),
  ];
}

function isFolder(spool: unknown): boolean {
  if (typeof spool !== 'object' || spool === null || !('dir' in spool)) return false;
  return typeof spool.dir === 'string' && spool.dir !== '';
}

/** What a backend's core and a client's are both set up with. @internal */
export function commonSettings(
  options: CommonOptions & { readonly spool?: { readonly dir: string } | 'memory' },
  environment: Platform['environment'],
): Record<string, Json | undefined> {
  // A program without types may have passed anything: usage must not wait where nobody expects it.
  if (!isFolder(options.spool)) oneOf('spool', options.spool ?? undefined, ['memory']);
  oneOf('durability', options.durability, ['fast', 'durable']);
  const variable = (name: string): string | undefined => environment[name] || undefined;
  const dir = options.spool === undefined ? variable('CLOUDNESTLE_SPOOL_DIR') : undefined;
  const spool = options.spool ?? (dir === undefined ? undefined : { dir });
  const limits = options.spoolLimits ?? {};
  return {
    solution: options.solution ?? variable('CLOUDNESTLE_SOLUTION'),
    url: options.url ?? variable('CLOUDNESTLE_URL'),
    issuer: options.issuer ?? variable('CLOUDNESTLE_ISSUER'),
    deadlineMs: options.deadlineMs,
    spoolDir: typeof spool === 'object' ? spool.dir : undefined,
    spoolInMemory: spool === 'memory',
    spoolEvents: limits.events,
    spoolBytes: limits.bytes,
    spoolAgeMs: limits.ageMs,
    overflow: limits.overflow,
    durable: options.durability === 'durable',
  };
}
