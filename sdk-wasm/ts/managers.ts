/** The plan's names for what the SDK does, each by itself. */
import type { Face } from './face.js';
import type { Actions, CallOptions, UsageOptions } from './options.js';
import type { Consumed, Receipt } from './receipt.js';
import type { MarketplaceSDK } from './sdk.js';
import type { TokenSource } from './source.js';
import type { TokenPair, User } from './types.js';

/** Tokens, of a client: who is this user, and how they stay signed in. */
export class ClientAuthManager {
  readonly #sdk: Face<Actions, unknown>;

  /** @internal */
  constructor(sdk: Face<Actions, unknown>) {
    this.#sdk = sdk;
  }

  /** As {@link MarketplaceSDK.validateUser}. */
  validateUser(token: string, options?: CallOptions): Promise<User> {
    return this.#sdk.validateUser(token, options);
  }

  /** As {@link MarketplaceSDK.refreshToken}. */
  refreshToken(pair: TokenPair, options?: CallOptions): Promise<TokenPair> {
    return this.#sdk.refreshToken(pair, options);
  }

  /** As {@link MarketplaceSDK.keepFresh}. */
  keepFresh(pair: TokenPair): TokenSource {
    return this.#sdk.keepFresh(pair);
  }
}

/** Tokens: who is this user, how they stay signed in, and how that ends. */
export class AuthManager extends ClientAuthManager {
  readonly #sdk: MarketplaceSDK<Actions>;

  /** @internal */
  constructor(sdk: MarketplaceSDK<Actions>) {
    super(sdk);
    this.#sdk = sdk;
  }

  /** As {@link MarketplaceSDK.revokeToken}. */
  revokeToken(token: string, options?: CallOptions): Promise<void> {
    return this.#sdk.revokeToken(token, options);
  }
}

/** Usage, of a client: note what was done, and see that it is counted. */
export class ClientUsageTracker<T extends Actions = Actions> {
  readonly #sdk: Face<T, unknown>;

  /** @internal */
  constructor(sdk: Face<T, unknown>) {
    this.#sdk = sdk;
  }

  /** As {@link MarketplaceSDK.trackUsage}. */
  trackUsage(token: string, action: T['actions'], options?: UsageOptions): Promise<Receipt> {
    return this.#sdk.trackUsage(token, action, options);
  }

  /** As {@link MarketplaceSDK.flush}. */
  flush(options?: CallOptions): Promise<void> {
    return this.#sdk.flush(options);
  }
}

/** Usage: note what was done, ask first where there is a hard limit, and see that it is counted. */
export class UsageTracker<T extends Actions = Actions> extends ClientUsageTracker<T> {
  readonly #sdk: MarketplaceSDK<T>;

  /** @internal */
  constructor(sdk: MarketplaceSDK<T>) {
    super(sdk);
    this.#sdk = sdk;
  }

  /** As {@link MarketplaceSDK.consume}. */
  consume(token: string, action: T['actions'], options?: UsageOptions): Promise<Consumed> {
    return this.#sdk.consume(token, action, options);
  }
}
