/** How to start a server. */
export interface StartOptions {
  /** The file everything is kept in; with it, keys are the same at each start. Without, nothing is kept. */
  db?: string;
  /** A YAML file with the world to found: solutions, customers, subscriptions. The built-in one if absent. */
  seed?: string;
  /** The port to listen on; a free one unless set. */
  port?: number;
  /** How long starting may take, in milliseconds; 10,000 unless set. */
  timeoutMs?: number;
  /** Further arguments of the binary, such as `--rate-limit key=10`. */
  args?: readonly string[];
}

/** An access token and the refresh token beside it, as the marketplace hands them out. */
export interface TokenPair {
  access_token: string;
  refresh_token: string;
  /** RFC 3339, UTC. */
  expires_at: string;
  [more: string]: unknown;
}

/** A solution of the server's world, with the keys of a partner who offers it. */
export interface Solution {
  /** `sol_…` */
  id: string;
  name: string;
  /** `cnsk_test_…`, of this server alone. */
  secret_key: string;
  /** `cnpk_test_…` */
  publishable_key: string;
  /** Whose the pair is, `cus_…`. */
  holder?: string;
  /** What that customer has just been handed for the solution, good for 15 minutes. */
  token_pair?: TokenPair;
  [more: string]: unknown;
}

/** A customer of the server's world. */
export interface Customer {
  /** `cus_…` */
  id: string;
  /** Their tier in each solution they have subscribed to. */
  subscriptions: Record<string, string>;
  [more: string]: unknown;
}

/** A running server. */
export interface MockServer extends AsyncDisposable {
  /** `http://127.0.0.1:…` */
  readonly url: string;
  /** What calls of `/mock/…` are authorised with. */
  readonly controlToken: string;
  /** The marketplace's own key. */
  readonly adminKey: string;
  readonly solutions: readonly Solution[];
  readonly customers: readonly Customer[];
  /** The variables by which an SDK finds the server as the backend of a solution; the first one unless named. */
  environment(solutionId?: string): Record<string, string>;
  /** Ends the server, and waits for its end. What it has answered is on the disk, if it has a file. */
  stop(): Promise<void>;
}

/**
 * Starts a server of its own process, and completes when it answers. It ends with {@link MockServer.stop}, at the
 * latest with this process.
 *
 * ```js
 * import { start } from "@cloudnestle/mock-server";
 *
 * const server = await start();
 * console.log(server.url, server.solutions[0].secret_key);
 * await server.stop();
 * ```
 *
 * @throws When the binary is missing, ends by itself (with what it said), or is not ready in time.
 */
export function start(options?: StartOptions): Promise<MockServer>;

/** The path of the binary for this machine, or of the one that `CLOUDNESTLE_MOCK_SERVER` names. */
export function binaryPath(): string;
