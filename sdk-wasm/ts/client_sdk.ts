/** The SDK of a client: of a program that its users hold, such as a page. It has their token, and no secret key. */
import { ClientBridge } from './client_bridge.js';
import type { ClientCore } from './core.js';
import { ConfigError, isMarketplaceError, oneOf, text } from './errors.js';
import { Face, commonSettings } from './face.js';
import { KeptPair } from './kept_pair.js';
import { ClientAuthManager, ClientUsageTracker } from './managers.js';
import type { Actions, CallOptions, ClientOptions } from './options.js';
import { Session, thePlatform } from './session.js';
import type { TokenSource } from './source.js';
import type { ClientStats, TokenPair } from './types.js';

/**
 * The SDK in a page. Build one and keep it.
 *
 * ```ts
 * const sdk = new MarketplaceSDK({ url: 'https://marketplace.example', solution: 'sol_faiss_search' });
 * const user = await sdk.validateUser(token); // by the token's own words and its signature
 * await sdk.trackUsage(token, 'view'); // an action that the solution lets clients report
 * ```
 *
 * A revocation goes unnoticed by `validateUser` for up to the token's life of 15 minutes. What decides about
 * money, or about others, is the backend's.
 */
export class MarketplaceSDK<T extends Actions = Actions> extends Face<T, ClientStats> {
  readonly #session: Session<ClientCore>;

  /** The calls about tokens, by themselves. */
  readonly auth: ClientAuthManager;
  /** The calls about usage, by themselves. */
  readonly usage: ClientUsageTracker<T>;

  /**
   * Builds an SDK, and asks nobody.
   *
   * @throws {@link ConfigError} when a setting is missing or wrong, or is a secret key; the message says so.
   */
  constructor(options: ClientOptions = {}) {
    const session = options instanceof Session ? (options as Session<ClientCore>) : begin(options);
    super(session);
    this.#session = session;
    this.auth = new ClientAuthManager(this);
    this.usage = new ClientUsageTracker(this);
  }

  /** The same SDK, with these options for each of its calls unless the call has its own. */
  withOptions(defaults: CallOptions): MarketplaceSDK<T> {
    return new MarketplaceSDK<T>(this.#session.with(defaults) as ClientOptions);
  }

  /** A source of the pair that an earlier page has kept, if `tokenStorage` is set and there is one. */
  resume(): TokenSource | undefined {
    const pair = this.#session.kept?.load();
    try {
      return pair === undefined ? undefined : this.keepFresh(pair);
    } catch (error) {
      // It is no pair: somebody else has written there, or another release.
      if (!isMarketplaceError(error) || error.code !== 'request_invalid') throw error;
      return undefined;
    }
  }

  /** The token pair for a launch code; `verifier` is what its `code_challenge` was made of (PKCE). */
  async exchangeCode(code: string, verifier: string, options?: CallOptions): Promise<TokenPair> {
    const [checked, proof] = [text(code), text(verifier)];
    return this.#session.call((core, call) => core.exchange_code(call, checked, proof), options);
  }
}

function begin(options: ClientOptions): Session<ClientCore> {
  refuseSecrets(options);
  const { environment } = thePlatform();
  const settings = commonSettings(options, environment);
  const publishableKey =
    options.publishableKey ?? (environment['CLOUDNESTLE_PUBLISHABLE_KEY'] || undefined);
  const beginning = {
    fetch: options.fetch,
    kept: keptPair(options, `${settings['url']}`, `${settings['solution']}`),
    settings: { ...settings, publishableKey },
  };
  return Session.begin(beginning, (around) => new ClientBridge(around));
}

function keptPair(
  { tokenStorage }: ClientOptions,
  url: string,
  solution: string,
): KeptPair | undefined {
  if (tokenStorage === undefined) return undefined;
  if (typeof tokenStorage === 'object') return new KeptPair(tokenStorage, url, solution);
  oneOf('tokenStorage', tokenStorage, ['session']);
  try {
    return new KeptPair(sessionStorage, url, solution);
  } catch {
    return undefined; // a browser that lets nothing be stored may not even let anybody ask
  }
}

/** A program without types may pass what a client must not have. */
function refuseSecrets(options: ClientOptions): void {
  const given = options as Record<string, unknown>;
  if (given['secretKey'] === undefined && given['secretKeyProvider'] === undefined) return;
  throw new ConfigError({
    code: 'config_invalid',
    message:
      'config_invalid: A secret key was given to a client, whose users can read it. It belongs on a server: ' +
      'take it out of the page, and replace it if the page was published.',
  });
}
