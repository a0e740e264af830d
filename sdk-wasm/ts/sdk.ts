/** The SDK of a backend: who is this user, may they do this, and note that they did it. */
import { Actors } from './actors.js';
import { BackendBridge } from './backend_bridge.js';
import type { BackendCore } from './core.js';
import { text } from './errors.js';
import { Face, commonSettings, usageOf } from './face.js';
import { AuthManager, UsageTracker } from './managers.js';
import { snaked, type Json } from './names.js';
import type { Actions, CallOptions, Options, UsageFilter, UsageOptions } from './options.js';
import type { Platform } from './platform.js';
import { consumedOf, type Consumed, type Receipt } from './receipt.js';
import { CLOSE_WITHIN, Session, only, thePlatform } from './session.js';
import type {
  Bucket,
  CountedEvent,
  Diagnosis,
  Stats,
  TokenPair,
  UsageBucket,
  User,
} from './types.js';
import { Users } from './users.js';

/** What an SDK shares with those that have other options. */
class Shared {
  readonly session: Session<BackendCore>;
  readonly users: Users;
  readonly actors: Actors;

  constructor(session: Session<BackendCore>, users: Users, actors: Actors) {
    this.session = session;
    this.users = users;
    this.actors = actors;
  }
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
export class MarketplaceSDK<T extends Actions = Actions> extends Face<T, Stats> {
  readonly #session: Session<BackendCore>;
  readonly #users: Users;
  readonly #actors: Actors;

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
    const { session, users, actors } = options instanceof Shared ? options : begin(options);
    super(session);
    this.#session = session;
    this.#users = users;
    this.#actors = actors;
    this.auth = new AuthManager(this);
    this.usage = new UsageTracker(this);
  }

  /** The same SDK, with these options for each of its calls unless the call has its own. */
  withOptions(defaults: CallOptions): MarketplaceSDK<T> {
    const session = this.#session.with(defaults);
    return new MarketplaceSDK<T>(new Shared(session, this.#users, this.#actors) as Options);
  }

  /** Who is this user? Checked on this machine, and by the marketplace's word that is at most 5 s old. */
  override async validateUser(token: string, options?: CallOptions): Promise<User> {
    const known = this.#users.get(token);
    if (known !== undefined) return known;
    const checked = text(token);
    const { bridge } = this.#session;
    let generation = 0;
    const validate = (core: BackendCore, call: number): void => {
      generation = bridge.generation;
      core.validate_user(call, checked);
    };
    try {
      return this.#users.told(token, await this.#session.ask(validate, options), generation);
    } catch (error) {
      this.#users.forget(token);
      throw error;
    }
  }

  /** Note that they did it. When this resolves, the event is taken, and will count once. */
  override async trackUsage(
    token: string,
    action: T['actions'],
    options: UsageOptions = {},
  ): Promise<Receipt> {
    const isAborted = this.#session.isAborted(options);
    const noted = isAborted ? undefined : this.#actors.track(token, action, options);
    if (noted !== undefined) {
      this.#session.noted();
      return noted;
    }
    const receipt = await super.trackUsage(token, action, options);
    this.#actors.hold(token);
    return receipt;
  }

  /** May they do this, and if so note that they did it: for what has a hard limit. */
  async consume(
    token: string,
    action: T['actions'],
    options: UsageOptions = {},
  ): Promise<Consumed> {
    const [checked, usage] = [text(token), usageOf(action, options)];
    const consume = (core: BackendCore, call: number): void =>
      core.consume(call, checked, ...usage);
    const told = await this.#session.ask(consume, options);
    this.#session.noted();
    return consumedOf(told, this.#session.bridge);
  }

  /** Ends a token and everything it can be refreshed to. */
  async revokeToken(token: string, options?: CallOptions): Promise<void> {
    const checked = text(token);
    await this.#session.call((core, call) => core.revoke_token(call, checked), options);
    this.#users.forget(token);
  }

  /** The token pair for a launch code; `verifier` is what its `code_challenge` was made of (PKCE). */
  async exchangeCode(code: string, verifier?: string, options?: CallOptions): Promise<TokenPair> {
    const [checked, proof] = [text(code), verifier === undefined ? undefined : text(verifier)];
    return this.#session.call((core, call) => core.exchange_code(call, checked, proof), options);
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

  /**
   * Closes the SDK when the process is asked to end (SIGTERM or Ctrl-C), and then lets it. On edge runtimes
   * nobody asks.
   */
  closeOnSignal(deadlineMs: number = CLOSE_WITHIN): this {
    const { platform, leave } = this.#session;
    leave.push(platform.whenAsked(() => this.close(deadlineMs)));
    return this;
  }

  /** What stands between this program and the marketplace. */
  async diagnose(): Promise<Diagnosis> {
    return this.#session.call((core, call) => core.diagnose(call));
  }

  async *#pages<R>(
    options: UsageFilter & { readonly bucket?: Bucket },
    ask: (core: BackendCore, call: number, filter: string) => void,
  ): AsyncIterableIterator<R> {
    const { signal: _signal, deadlineMs: _deadlineMs, since, until, ...rest } = options;
    const filter = { ...rest, ...moment('since', since), ...moment('until', until) };
    let cursor: string | undefined;
    do {
      const json = JSON.stringify(
        snaked({ ...filter, ...(cursor === undefined ? {} : { cursor }) }),
      );
      const page = await this.#session.call<{ items: R[]; nextCursor?: string } | null>(
        (core, call) => ask(core, call, json),
        only(options),
      );
      yield* page?.items ?? [];
      cursor = page?.nextCursor;
    } while (cursor !== undefined);
  }
}

function begin(options: Options): Shared {
  const { environment } = thePlatform();
  const beginning = {
    fetch: options.fetch,
    secretKeyProvider: options.secretKeyProvider,
    waitUntil: options.waitUntil,
    settings: settingsOf(options, environment),
  };
  const session = Session.begin(beginning, (around) => new BackendBridge(around));
  return new Shared(session, new Users(session.bridge), new Actors(session.bridge));
}

function moment(name: string, at: string | Date | undefined): Record<string, string> {
  return at === undefined ? {} : { [name]: at instanceof Date ? isoOf(at) : at };
}

/** What is no time is the core's to refuse. */
function isoOf(at: Date): string {
  return Number.isNaN(at.getTime()) ? String(at) : at.toISOString();
}

function settingsOf(
  options: Options,
  environment: Platform['environment'],
): Record<string, Json | undefined> {
  return {
    ...commonSettings(options, environment),
    secretKey: options.secretKey ?? (environment['CLOUDNESTLE_SECRET_KEY'] || undefined),
    providesKey: options.secretKeyProvider !== undefined,
    validation: options.validation,
  };
}
