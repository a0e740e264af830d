/** A marketplace in the hands of a test: who is in it, what its clock shows, what goes wrong, what it has counted. */
import type { Code } from '../catalogue.js';
import { camelized, type Json } from '../names.js';
import type { Options } from '../options.js';
import type { CountedEvent, Quota, Tier, TokenPair } from '../model.js';
import type { Credential, Customer, Fault, JournalEntry, Limit, Solution } from './world.js';

/** A server that runs. */
export interface Server {
  readonly url: string;
  readonly controlToken: string;
  stop(): Promise<void>;
}

/** How many events are asked for at a time: the most that a page has. */
const PAGE_SIZE = 100;

interface World {
  readonly adminKey: string;
  readonly solutions: readonly Solution[];
  readonly customers: readonly Customer[];
}

/** The marketplace has refused a call that a test made. */
export class MarketplaceCallError extends Error {
  /** The answer's status. */
  readonly status: number;
  /** The catalogue's name for what went wrong, where the answer had one. */
  readonly code: Code | undefined;

  /** @internal */
  constructor(operation: string, status: number, problem: { code?: Code; detail?: string }) {
    super(`${operation}: ${status} ${problem.code ?? ''} ${problem.detail ?? ''}`.trim());
    this.name = 'MarketplaceCallError';
    this.status = status;
    this.code = problem.code;
  }
}

/**
 * A marketplace for tests. Where a solution can be named, it is the world's first unless it is.
 *
 * ```js
 * const marketplace = await startMarketplace();
 * const { accessToken } = await marketplace.tokenPair('cus_ravi');
 * await marketplace.inject({ on: 'POST /api/track-usage', reset: 'after_commit' });
 * await marketplace.advanceClock(60_000);
 * console.log(await marketplace.used('cus_ravi', 'search'));
 * await marketplace.stop();
 * ```
 */
export class TestMarketplace implements AsyncDisposable {
  #server: Server;
  #world: World;
  readonly #again: ((port: number) => Promise<Server>) | undefined;

  private constructor(server: Server, world: World, again?: (port: number) => Promise<Server>) {
    this.#server = server;
    this.#world = world;
    this.#again = again;
  }

  /** @internal */
  static async of(
    server: Server,
    again?: (port: number) => Promise<Server>,
  ): Promise<TestMarketplace> {
    return new TestMarketplace(server, await worldOf(server), again);
  }

  /** Where it is, `http://127.0.0.1:…`. */
  get url(): string {
    return this.#server.url;
  }

  /** What calls of `/mock/…` are authorised with. */
  get controlToken(): string {
    return this.#server.controlToken;
  }

  /** The marketplace's own key. */
  get adminKey(): string {
    return this.#world.adminKey;
  }

  get solutions(): readonly Solution[] {
    return this.#world.solutions;
  }

  get customers(): readonly Customer[] {
    return this.#world.customers;
  }

  /** A solution of this world, with its keys. */
  solution(id?: string): Solution {
    const { solutions } = this.#world;
    const found =
      id === undefined ? solutions[0] : solutions.find((solution) => solution.id === id);
    if (found !== undefined) return found;
    const known = solutions.map((solution) => solution.id).join(', ');
    throw new Error(`This world has no solution ${id ?? ''}, but ${known}.`);
  }

  /** What an SDK is set up with: as a backend of the solution that is named, with usage in memory unless set. */
  options(options: Options = {}): Options {
    const { id, secretKey } = this.solution(options.solution);
    return { url: this.url, secretKey, spool: 'memory', ...options, solution: id };
  }

  /** The variables by which the SDK of another process finds it. */
  environment(solution?: string): Record<string, string> {
    const { id, secretKey, publishableKey } = this.solution(solution);
    return {
      CLOUDNESTLE_URL: this.url,
      CLOUDNESTLE_SOLUTION: id,
      CLOUDNESTLE_SECRET_KEY: secretKey,
      CLOUDNESTLE_PUBLISHABLE_KEY: publishableKey,
    };
  }

  /** What a customer hands to a solution: they are signed in, and have opened it. */
  async tokenPair(customer: string, solution?: string): Promise<TokenPair> {
    const body = { solution_id: this.solution(solution).id };
    const as = await this.#session(customer);
    return camelized(await this.call('POST', '/api/generate-token', as, body)) as never;
  }

  /** The code that a customer's browser brings to the solution when they open it from the marketplace. */
  async launchCode(customer: string, solution?: string): Promise<string> {
    const body = { solution_id: this.solution(solution).id };
    const launch = await this.call('POST', '/api/launches', await this.#session(customer), body);
    const { redirect_url } = launch as { redirect_url: string };
    return new URL(redirect_url).searchParams.get('code') ?? '';
  }

  /** The marketplace ends a token. */
  async revokeToken(token: string, solution?: string): Promise<void> {
    await this.call('DELETE', '/api/revoke-token', this.#backend(solution), { token });
  }

  /** The marketplace ends every token of a customer for a solution. */
  async revokeUser(customer: string, solution?: string): Promise<void> {
    const body = { customer_id: customer };
    await this.call('DELETE', '/api/revoke-user', this.#backend(solution), body);
  }

  /** The customer has subscribed to another tier. */
  async setTier(customer: string, tier: Tier, solution?: string): Promise<void> {
    const body = { customer_id: customer, solution_id: this.solution(solution).id, tier };
    await this.call('PUT', '/api/user-tier', 'admin', body);
  }

  /** The customer gets the quota of an action back. */
  async resetQuota(customer: string, action: string, solution?: string): Promise<void> {
    const body = { customer_id: customer, solution_id: this.solution(solution).id, action };
    await this.call('POST', '/api/reset-quota', 'admin', body);
  }

  /** What the marketplace's clock shows. */
  async now(): Promise<Date> {
    const { now } = (await this.call('GET', '/mock/clock', 'control')) as { now: string };
    return new Date(now);
  }

  /** Moves the clock on, by milliseconds. It runs on from there. */
  async advanceClock(millis: number): Promise<void> {
    await this.call('POST', '/mock/clock', 'control', { advance_ms: millis });
  }

  /** Sets the clock. It runs on from there. */
  async setClock(now: Date | string): Promise<void> {
    await this.call('POST', '/mock/clock', 'control', { set: new Date(now).toISOString() });
  }

  /** Lets the next call of an operation go wrong; several faults are met one after the other. */
  async inject({ on, delayMs, reset, status, code, headers }: Fault): Promise<void> {
    const fault = { on, delay_ms: delayMs, reset, status, code, headers } as Record<string, Json>;
    await this.call('POST', '/mock/faults', 'control', fault);
  }

  /** The faults that no call has met yet. */
  async faultsLeft(): Promise<readonly Fault[]> {
    const report = await this.call('GET', '/mock/faults', 'control');
    return (camelized(report) as unknown as { left: Fault[] }).left;
  }

  /** Takes the API out of reach, every connection being reset; or brings it back. */
  async setOutage(on: boolean): Promise<void> {
    await this.call('POST', '/mock/outage', 'control', { on });
  }

  /** Lets each of some callers call so often. */
  async setRateLimit({ callers, perSecond, burst }: Limit): Promise<void> {
    const limit = { callers, per_second: perSecond, burst } as Record<string, Json>;
    await this.call('POST', '/mock/rate-limits', 'control', limit);
  }

  /** Lets the next of the published keys sign tokens from now on. Those of the last one stay good. */
  async rotateSigningKey(): Promise<void> {
    await this.call('POST', '/mock/keys', 'control');
  }

  /** What the API was asked, and how it answered: the last 10,000 calls, oldest first. */
  async journal(): Promise<readonly JournalEntry[]> {
    const { entries } = (await this.call('GET', '/mock/journal', 'control')) as { entries: Json };
    return camelized(entries) as never;
  }

  /** The ledger: every event of a customer that was counted, newest first. */
  async countedEvents(customer: string, solution?: string): Promise<readonly CountedEvent[]> {
    const events: CountedEvent[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined;) {
      const after: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const where = `/api/usage/${customer}/events?page_size=${PAGE_SIZE}${after}`;
      const page = camelized(await this.call('GET', where, this.#backend(solution)));
      const { items, nextCursor } = page as unknown as {
        items: CountedEvent[];
        nextCursor?: string;
      };
      events.push(...items);
      cursor = nextCursor;
    }
    return events;
  }

  /** How much of an action a customer has used, by the ledger. */
  async used(customer: string, action: string, solution?: string): Promise<number> {
    const events = await this.countedEvents(customer, solution);
    const of = events.filter((event) => event.action === action);
    return of.reduce((used, event) => used + event.counts, 0);
  }

  /** What a customer may use, has used in this window, and when the next begins. */
  async quotas(customer: string, solution?: string): Promise<readonly Quota[]> {
    const where = `/api/quotas/${customer}/${this.solution(solution).id}`;
    const { quotas } = (await this.call('GET', where, this.#backend(solution))) as { quotas: Json };
    return camelized(quotas) as never;
  }

  /**
   * Any other call, in the words of the API page: with JSON, and JSON in reply.
   *
   * @throws {@link MarketplaceCallError} when it is refused.
   */
  call(method: string, path: string, as: Credential, body?: Json): Promise<Json> {
    return call(this.url, method, path, this.#bearer(as), body);
  }

  /** Ends the server and begins it again at the same place, with what its file has kept. */
  async restart(): Promise<void> {
    if (this.#again === undefined) {
      throw new Error('It would forget everything: start it with a `db`.');
    }
    await this.#server.stop();
    this.#server = await this.#again(Number(new URL(this.url).port));
    this.#world = await worldOf(this.#server);
  }

  /** Ends the server, if this is whose it is, and waits for its end. */
  async stop(): Promise<void> {
    await this.#server.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Shows no secret. */
  toJSON(): { url: string } {
    return { url: this.url };
  }

  async #session(customer: string): Promise<Credential> {
    const session = await this.call('POST', '/mock/sessions', 'control', { customer_id: customer });
    return { token: (session as { access_token: string }).access_token };
  }

  #backend(solution: string | undefined): Credential {
    return { token: this.solution(solution).secretKey };
  }

  #bearer(as: Credential): string {
    if (typeof as !== 'string') return as.token;
    const known = { solution: () => this.solution().secretKey, admin: () => this.adminKey };
    return as === 'control' ? this.controlToken : known[as]();
  }
}

async function worldOf({ url, controlToken }: Server): Promise<World> {
  const world = (await call(url, 'GET', '/mock/world', controlToken)) as { [name: string]: Json };
  // The names in a customer's subscriptions are ids.
  const { customers, ...rest } = world;
  return { ...(camelized(rest) as object), customers } as unknown as World;
}

async function call(
  url: string,
  method: string,
  path: string,
  bearer: string,
  body?: Json,
): Promise<Json> {
  const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(url + path, { method, headers, redirect: 'manual', ...sent });
  const text = await response.text();
  if (!response.ok)
    throw new MarketplaceCallError(`${method} ${path}`, response.status, problemOf(text));
  return text === '' ? null : (JSON.parse(text) as Json);
}

function problemOf(text: string): { code?: Code; detail?: string } {
  try {
    return JSON.parse(text) as { code?: Code; detail?: string };
  } catch {
    return { detail: text };
  }
}
