/** The SDK: who is this user, may they do this, and note that they did it. */
import { Bridge } from './bridge.js';
import type { Core } from './engine.js';
import { text } from './errors.js';
import { Emitter, type EventMap, type Listener } from './events.js';
import { AuthManager, UsageTracker } from './managers.js';
import { camelized, snaked, type Json } from './names.js';
import type { Actions, CallOptions, Options, UsageFilter, UsageOptions } from './options.js';
import type { Platform } from './platform.js';
import { consumedOf, receiptOf, type Consumed, type Receipt } from './receipt.js';
import { TokenSource } from './source.js';
import type {
  Bucket,
  CloseReport,
  CountedEvent,
  Diagnosis,
  Quota,
  RejectedUsage,
  Stats,
  TokenPair,
  UsageBucket,
  UsageStats,
  User,
  UserContextAnswer,
} from './types.js';
import { Users } from './users.js';

/** How long `close` and a program's natural end take at most, unless told otherwise, in milliseconds. */
const CLOSE_WITHIN = 3_000;

/** What an SDK and those with other options share. */
interface Shared {
  readonly platform: Platform;
  readonly bridge: Bridge;
  readonly emitter: Emitter;
  readonly users: Users;
  readonly leave: (() => void)[];
}

/** How `withOptions` hands on what is shared. */
const SHARED = Symbol('shared');

interface Sharing {
  readonly [SHARED]: Shared;
  readonly defaults: CallOptions;
}

let platform: Platform | undefined;

/** Which platform this is: each entry point of the package says so once. @internal */
export function usePlatform(own: Platform): void {
  platform ??= own;
}

/**
 * The SDK. Build one for a program and keep it.
 *
 * ```ts
 * const sdk = new MarketplaceSDK<{ actions: 'search' | 'index' }>();
 * const user = await sdk.validateUser(token);
 * await sdk.trackUsage(token, 'search');
 * ```
 */
export class MarketplaceSDK<T extends Actions = Actions> {
  readonly #shared: Shared;
  readonly #defaults: CallOptions;

  /** The calls about tokens, by themselves. */
  readonly auth: AuthManager;
  /** The calls about usage, by themselves. */
  readonly usage: UsageTracker<T>;

  /**
   * Builds an SDK, and asks nobody.
   *
   * @throws {@link ConfigError} when a setting is missing or wrong; the message names it.
   */
  constructor(options: Options = {}) {
    const sharing = options as Partial<Sharing>;
    this.#shared = sharing[SHARED] ?? begin(options);
    this.#defaults = sharing.defaults ?? {};
    this.auth = new AuthManager(this);
    this.usage = new UsageTracker(this);
  }

  /** The same SDK, with these options for each of its calls unless the call has its own. */
  withOptions(defaults: CallOptions): MarketplaceSDK<T> {
    const sharing: Sharing = {
      [SHARED]: this.#shared,
      defaults: { ...this.#defaults, ...defaults },
    };
    return new MarketplaceSDK<T>(sharing as Options);
  }

  /** Resolves when calls can be made. They can be at once: those that come early wait by themselves. */
  ready(): Promise<this> {
    return Promise.resolve(this);
  }

  /** Who is this user? Checked on this machine, and by the marketplace's word that is at most 5 s old. */
  async validateUser(token: string, options?: CallOptions): Promise<User> {
    const { users } = this.#shared;
    const known = users.get(token);
    if (known !== undefined) return known;
    try {
      const checked = text(token);
      const validate = (core: Core, call: number): void => core.validate_user(call, checked);
      const user = await this.#call<User>(validate, options);
      users.hold(token, user);
      return user;
    } catch (error) {
      users.forget(token);
      throw error;
    }
  }

  /** May they do this? The user's tier, entitlements and quotas. */
  async getUserContext(token: string, options?: CallOptions): Promise<UserContextAnswer> {
    const checked = text(token);
    return this.#call((core, call) => core.get_user_context(call, checked), options);
  }

  /** Note that they did it. When this resolves, the event is written down, and will count once. */
  async trackUsage(
    token: string,
    action: T['actions'],
    options: UsageOptions = {},
  ): Promise<Receipt> {
    const [checked, usage] = [text(token), usageOf(action, options)];
    const track = (core: Core, call: number): void => core.track_usage(call, checked, usage);
    return receiptOf(await this.#ask(track, options), this.#shared.bridge);
  }

  /** May they do this, and if so note that they did it: for what has a hard limit. */
  async consume(
    token: string,
    action: T['actions'],
    options: UsageOptions = {},
  ): Promise<Consumed> {
    const [checked, usage] = [text(token), usageOf(action, options)];
    const consume = (core: Core, call: number): void => core.consume(call, checked, usage);
    return consumedOf(await this.#ask(consume, options), this.#shared.bridge);
  }

  /** Renews a pair. However many ask with the same pair, one request is made. */
  async refreshToken(pair: TokenPair, options?: CallOptions): Promise<TokenPair> {
    const json = JSON.stringify(snaked(pair as unknown as Json));
    return this.#call((core, call) => core.refresh(call, json), options);
  }

  /** Keeps a pair good: the source gives out its access token, and renews it before it ends. */
  keepFresh(pair: TokenPair): TokenSource {
    return new TokenSource(this.#shared.bridge, pair);
  }

  /** Ends a token and everything it can be refreshed to. */
  async revokeToken(token: string, options?: CallOptions): Promise<void> {
    const checked = text(token);
    await this.#call((core, call) => core.revoke_token(call, checked), options);
    this.#shared.users.forget(token);
  }

  /** The token pair for a launch code; `verifier` is what its `code_challenge` was made of (PKCE). */
  async exchangeCode(code: string, verifier?: string, options?: CallOptions): Promise<TokenPair> {
    const [checked, proof] = [text(code), verifier === undefined ? undefined : text(verifier)];
    return this.#call((core, call) => core.exchange_code(call, checked, proof), options);
  }

  /** A pair for somebody who comes by without an account. */
  async createVisitor(options?: CallOptions): Promise<TokenPair> {
    return this.#call((core, call) => core.create_visitor(call), options);
  }

  /** What a customer may use of the solution, has used, and when it begins anew. */
  async quotas(customerId: string, options?: CallOptions): Promise<Quota[]> {
    const checked = text(customerId);
    return this.#call((core, call) => core.quotas(call, checked), options);
  }

  /** That of one action; `undefined` where it has no limit. */
  async quota(
    customerId: string,
    action: T['actions'],
    options?: CallOptions,
  ): Promise<Quota | undefined> {
    const quotas = await this.quotas(customerId, options);
    return quotas.find((quota) => quota.action === action);
  }

  /** What a customer has used, by hour, day or month of the solution's time zone. */
  usageHistory(
    customerId: string,
    options: UsageFilter & { readonly bucket?: Bucket } = {},
  ): AsyncIterableIterator<UsageBucket> {
    const checked = text(customerId);
    return this.#pages(options, (core, call, filter) => core.usage_history(call, checked, filter));
  }

  /** The events of which that is the sum, newest first. */
  usageEvents(customerId: string, options: UsageFilter = {}): AsyncIterableIterator<CountedEvent> {
    const checked = text(customerId);
    return this.#pages(options, (core, call, filter) => core.usage_events(call, checked, filter));
  }

  /** Sends what is in the spool now, and resolves when the marketplace has answered for all of it. */
  async flush(options?: CallOptions): Promise<void> {
    await this.#call((core, call) => core.flush(call), options);
  }

  /** Delivers what it can within the deadline, and goes on: for functions that are frozen on return. */
  async flushBeforeReturn(deadlineMs: number): Promise<UsageStats> {
    return this.#call((core, call) => core.flush_before_return(call, deadlineMs));
  }

  /** What the marketplace has refused for good, the event and the reason. */
  async rejectedUsage(): Promise<RejectedUsage[]> {
    return this.#call((core, call) => core.rejected_usage(call));
  }

  /** Sends what was rejected once more, after a fix; how many events. */
  async replayRejected(): Promise<number> {
    return this.#call((core, call) => core.replay_rejected(call));
  }

  /** Takes no more usage, delivers what it can, and resolves by the deadline with a report. */
  async close(deadlineMs: number = CLOSE_WITHIN): Promise<CloseReport> {
    const report = await this.#call<CloseReport>((core, call) => core.close(call, deadlineMs));
    for (const leave of this.#shared.leave.splice(0)) leave();
    return report;
  }

  /**
   * Closes the SDK when the process is asked to end (SIGTERM or Ctrl-C), and then lets it. In a browser
   * nobody asks.
   */
  closeOnSignal(deadlineMs: number = CLOSE_WITHIN): this {
    const { platform, leave } = this.#shared;
    leave.push(platform.whenAsked(() => this.close(deadlineMs)));
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Lets go at once, and delivers nothing more: what waits in the spool is for the next process. */
  [Symbol.dispose](): void {
    const { bridge, leave } = this.#shared;
    for (const unlisten of leave.splice(0)) unlisten();
    bridge.leave();
  }

  /** What stands between this program and the marketplace. */
  async diagnose(): Promise<Diagnosis> {
    return this.#call((core, call) => core.diagnose(call));
  }

  /** What the SDK has done since it was built. */
  stats(): Stats {
    return parsed(this.#shared.bridge.ask((core) => core.stats()));
  }

  /** Has a listener told of what the SDK does by itself. */
  on<E extends keyof EventMap>(name: E, listener: Listener<E>): this {
    this.#shared.emitter.on(name, listener);
    return this;
  }

  off<E extends keyof EventMap>(name: E, listener: Listener<E>): this {
    this.#shared.emitter.off(name, listener);
    return this;
  }

  once<E extends keyof EventMap>(name: E, listener: Listener<E>): this {
    const first = (event: EventMap[E]): void => {
      this.#shared.emitter.off(name, first);
      listener(event);
    };
    return this.on(name, first);
  }

  /** Shows no secret. */
  toJSON(): { stats: Stats } {
    return { stats: this.stats() };
  }

  async #call<R>(start: (core: Core, call: number) => void, options?: CallOptions): Promise<R> {
    return parsed<R>(await this.#ask(start, options));
  }

  #ask(start: (core: Core, call: number) => void, options?: CallOptions): Promise<string> {
    const { signal, deadlineMs } = { ...this.#defaults, ...options };
    return this.#shared.bridge.call(start, {
      ...(signal === undefined ? {} : { signal }),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    });
  }

  async *#pages<R>(
    options: UsageFilter & { readonly bucket?: Bucket },
    ask: (core: Core, call: number, filter: string) => void,
  ): AsyncIterableIterator<R> {
    const { signal, deadlineMs, since, until, ...rest } = options;
    const each = {
      ...(signal === undefined ? {} : { signal }),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    };
    const filter = { ...rest, ...moment('since', since), ...moment('until', until) };
    let cursor: string | undefined;
    do {
      const json = JSON.stringify(
        snaked({ ...filter, ...(cursor === undefined ? {} : { cursor }) }),
      );
      const page = await this.#call<{ items: R[]; nextCursor?: string } | null>(
        (core, call) => ask(core, call, json),
        each,
      );
      yield* page?.items ?? [];
      cursor = page?.nextCursor;
    } while (cursor !== undefined);
  }
}

function begin(options: Options): Shared {
  if (platform === undefined)
    throw new Error('The package was loaded by none of its entry points.');
  const emitter = new Emitter();
  const bridge = new Bridge({
    platform,
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    settings: JSON.stringify(settingsOf(options, platform.environment)),
    secretKeyProvider: options.secretKeyProvider,
    onEvent: (json) => emitter.tell(json),
  });
  const drain = async (): Promise<void> => {
    if (bridge.ask((core) => core.pending()) === 0) return;
    await bridge.call((core, call) => core.flush_before_return(call, CLOSE_WITHIN));
  };
  const leave = [platform.whenIdle(drain, () => bridge.leave())];
  return { platform, bridge, emitter, users: new Users(bridge), leave };
}

function parsed<R>(json: string): R {
  return camelized(JSON.parse(json) as Json) as R;
}

/** With the wire's names; what is absent is left out. */
function usageOf(action: string, options: UsageOptions): string {
  const { idempotencyKey, metadata, amends, voids } = options;
  // JSON has no word for what is no number; 0 is out of bounds as well.
  const isNumber = options.quantity === undefined || Number.isFinite(options.quantity);
  const quantity = isNumber ? options.quantity : 0;
  const usage = { quantity, idempotency_key: idempotencyKey, metadata, amends, voids };
  return JSON.stringify({ ...usage, action: text(action) });
}

function moment(name: string, at: string | Date | undefined): Record<string, string> {
  return at === undefined ? {} : { [name]: at instanceof Date ? at.toISOString() : at };
}

function settingsOf(options: Options, environment: Platform['environment']): Record<string, Json> {
  const variable = (name: string): string | undefined => environment[name] || undefined;
  const dir = options.spool === undefined ? variable('CLOUDNESTLE_SPOOL_DIR') : undefined;
  const spool = options.spool ?? (dir === undefined ? undefined : { dir });
  const limits = options.spoolLimits ?? {};
  const settings: Record<string, Json | undefined> = {
    secretKey: options.secretKey ?? variable('CLOUDNESTLE_SECRET_KEY'),
    providesKey: options.secretKeyProvider !== undefined,
    solution: options.solution ?? variable('CLOUDNESTLE_SOLUTION'),
    url: options.url ?? variable('CLOUDNESTLE_URL'),
    issuer: options.issuer ?? variable('CLOUDNESTLE_ISSUER'),
    validation: options.validation,
    deadlineMs: options.deadlineMs,
    spoolDir: typeof spool === 'object' ? spool.dir : undefined,
    spoolInMemory: spool === 'memory',
    spoolEvents: limits.events,
    spoolBytes: limits.bytes,
    spoolAgeMs: limits.ageMs,
    overflow: limits.overflow,
    durable: options.durability === 'durable',
  };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as Record<string, Json>;
}
