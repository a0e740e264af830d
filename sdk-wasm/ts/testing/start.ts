/** How a test comes by a marketplace. */
import { TestMarketplace, type Server } from './marketplace.js';

/** How a server is started. */
export interface StartOptions {
  /** The file everything is kept in; with it, `restart` forgets nothing. Without, nothing is kept. */
  readonly db?: string;
  /** A YAML file with the world to found: solutions, customers, subscriptions. The built-in one if absent. */
  readonly seed?: string;
  /** The port to listen on; a free one unless set. */
  readonly port?: number;
  /** How long starting may take, in milliseconds; 10,000 unless set. */
  readonly timeoutMs?: number;
  /** Further arguments of the server, such as `--rate-limit key=10`. */
  readonly args?: readonly string[];
}

/** Where a server is that runs already. */
export interface ConnectOptions {
  readonly url: string;
  /** What the server prints, or writes into its `--ready-file`. */
  readonly controlToken: string;
}

/**
 * Starts a marketplace for a test, in a process of its own, from the package `@cloudnestle/mock-server`. It ends with
 * `stop`, with `await using`, and at the latest with this process, which it does not keep alive.
 *
 * ```js
 * import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
 * import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
 *
 * const marketplace = await startMarketplace();
 * const sdk = new MarketplaceSDK(marketplace.options());
 * const { accessToken } = await marketplace.tokenPair('cus_ravi');
 * const user = await sdk.validateUser(accessToken);
 * await marketplace.stop();
 * ```
 *
 * @throws When that package is not installed, or its server does not come up.
 */
export async function startMarketplace(options: StartOptions = {}): Promise<TestMarketplace> {
  const { start } = await launcher();
  const begin = (port?: number): Promise<Server> =>
    start({ ...options, ...(port === undefined ? {} : { port }) });
  return TestMarketplace.of(await begin(), options.db === undefined ? undefined : begin);
}

/** Takes hold of a marketplace that runs already. `stop` leaves it running. */
export function connectMarketplace({
  url,
  controlToken,
}: ConnectOptions): Promise<TestMarketplace> {
  const stop = (): Promise<void> => Promise.resolve();
  // A world's has a path.
  const { origin, pathname } = new URL(url);
  return TestMarketplace.of({ url: origin + pathname.replace(/\/$/, ''), controlToken, stop });
}

async function launcher(): Promise<typeof import('@cloudnestle/mock-server')> {
  try {
    return await import('@cloudnestle/mock-server');
  } catch (cause) {
    throw new Error(
      'startMarketplace needs the server: npm install --save-dev @cloudnestle/mock-server. ' +
        'To one that runs already, connectMarketplace({ url, controlToken }) connects.',
      { cause },
    );
  }
}
