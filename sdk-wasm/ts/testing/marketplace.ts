/** A marketplace in the hands of a test: who is in it, what its clock shows, what goes wrong, what it has counted. */
import type { Code } from '../catalogue.js';
import { camelized, snaked, type Json } from '../names.js';
import type { Options } from '../options.js';
import type { CountedEvent, Quota, Tier, TokenPair } from '../model.js';
import type {
  Credential,
  Customer,
  Expected,
  Fault,
  Fired,
  JournalCall,
  JournalEntry,
  Limit,
  NewWorld,
  Search,
  Solution,
} from './world.js';

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

  /** Where it is, `http://127.0.0.1:…`; of a world, with its path. */
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

  /**
   * Moves the clock on, by milliseconds. What is due on the way happens, in order, and is told: tokens that expire, leases that end; of
   * more than 1,000 the first 1,000.
   */
  advanceClock(millis: number): Promise<readonly Fired[]> {
    return this.#clock({ advance_ms: millis });
  }

  /** Sets the clock, and tells what was due on the way and has happened. Set back, it does nothing but show it. */
  setClock(now: Date | string): Promise<readonly Fired[]> {
    return this.#clock({ set: new Date(now).toISOString() });
  }

  /** Moves the clock on to the next moment at which something happens; nowhere, if nothing is planned. */
  advanceToNextEvent(): Promise<readonly Fired[]> {
    return this.#clock({ advance_to_next_event: true });
  }

  /** Lets the clock stand still until it is moved, or go on. */
  async freezeClock(frozen = true): Promise<void> {
    await this.#clock({ freeze: frozen });
  }

  /** Lets the clock run, so many times as fast as real time: more than 0, and at most 1,000,000. */
  async scaleClock(scale: number): Promise<void> {
    await this.#clock({ scale });
  }

  /**
   * Makes a marketplace beside this one, in the same server, that shares nothing with any other: customers, keys, ids, clock, faults,
   * journal. `stop`, or `await using`, forgets it.
   *
   * ```js
   * const marketplace = await startMarketplace();
   * const world = await marketplace.createWorld({ now: '2026-11-22T06:30:00Z', frozen: true });
   * await world.tokenPair('cus_ravi');
   * const [fired] = await world.advanceToNextEvent();
   * console.log(fired?.task, await world.now());
   * await marketplace.stop();
   * ```
   */
  async createWorld({
    now,
    snapshot,
    founding,
    ...wanted
  }: NewWorld = {}): Promise<TestMarketplace> {
    const body = {
      ...wanted,
      founding,
      now: now === undefined ? now : new Date(now).toISOString(),
      from: snapshot === undefined ? snapshot : { snapshot },
    } as Record<string, Json>;
    const made = (await this.call('POST', '/mock/worlds', 'control', body)) as {
      id: string;
      url: string;
      control_token: string;
    };
    let there: Promise<unknown> | undefined;
    const forget = (): Promise<unknown> =>
      this.call('DELETE', `/mock/worlds/${made.id}`, 'control');
    const stop = async (): Promise<void> => {
      await (there ??= forget());
    };
    return TestMarketplace.of({ url: made.url, controlToken: made.control_token, stop });
  }

  /** Keeps all that the marketplace holds now, and what its clock shows. Answers the id, `snp_…`, which is drawn unless set. */
  async snapshot(id?: string): Promise<string> {
    const body = (id === undefined ? {} : { id }) as Record<string, Json>;
    const kept = await this.call('POST', '/mock/snapshots', 'control', body);
    return (kept as { id: string }).id;
  }

  /** Puts a snapshot in the place of what there is. Faults, limits and the journal stay. */
  async restore(snapshot: string): Promise<void> {
    await this.call('POST', `/mock/snapshots/${snapshot}/restore`, 'control');
  }

  /**
   * Lets everything be as it was when the marketplace began, with the keys it has: no usage, no tokens, no faults, no journal, and the
   * clock it had.
   */
  async reset(): Promise<void> {
    await this.call('POST', '/mock/reset', 'control');
  }

  /** Lets calls go wrong; several faults are met one after the other. Answers the fault's id, `flt_…`. */
  async inject({ headers, body, ...fault }: Fault): Promise<string> {
    const renamed = snaked(fault as unknown as Json) as Record<string, Json>;
    const wanted = { ...renamed, headers, body } as Record<string, Json>;
    const planned = await this.call('POST', '/mock/faults', 'control', wanted);
    return (planned as { ids: [string] }).ids[0];
  }

  /** The faults that no call has met yet. */
  async faultsLeft(): Promise<readonly Fault[]> {
    const report = await this.call('GET', '/mock/faults', 'control');
    return (camelized(report) as unknown as { left: Fault[] }).left;
  }

  /**
   * For the end of a test: a fault that no call has met has shown nothing.
   *
   * @throws When some are left, with what they are.
   */
  async verifyFaults(): Promise<void> {
    const left = await this.faultsLeft();
    if (left.length > 0) throw new Error(`No call met what was planned: ${JSON.stringify(left)}`);
  }

  /** Lets no more calls meet a fault. */
  async removeFault(id: string): Promise<void> {
    await this.call('DELETE', `/mock/faults/${id}`, 'control');
  }

  /** Forgets the fault plan. */
  async clearFaults(): Promise<void> {
    await this.call('DELETE', '/mock/faults', 'control');
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

  /** What the API was asked, and how it answered: of the last 10,000 calls those that are searched for, oldest first. */
  async journal(search: Search = {}): Promise<readonly JournalEntry[]> {
    const { entries } = (await this.#search(search)) as { entries: Json };
    return camelized(entries) as never;
  }

  /** The calls that are searched for, whole: what was sent and what was answered, without secrets. */
  async find(search: Search): Promise<readonly JournalCall[]> {
    const { entries } = (await this.#search(search, true)) as { entries: Record<string, Json>[] };
    // What was sent and answered is shown in the words of the wire.
    const calls = entries.map(({ request, answer, ...entry }) => ({
      ...(camelized(entry) as object),
      request,
      ...(answer == null ? {} : { answer }),
    }));
    return calls as never;
  }

  /**
   * Whether the API was asked what a test expects. Answers the numbers of those calls, for the `after` of the next.
   *
   * ```js
   * const marketplace = await startMarketplace();
   * await marketplace.tokenPair('cus_ravi');
   * const body = { solution_id: { $contains: 'faiss' } };
   * await marketplace.verify({ operation: 'POST /api/generate-token', times: 1, body });
   * await marketplace.stop();
   * ```
   *
   * @throws When there were fewer such calls, or more, with those that came near and in what they were other.
   */
  async verify({ headers, query, body, ...expected }: Expected): Promise<readonly number[]> {
    const sent = { headers, query, body } as Record<string, Json>;
    const wanted = { ...(snaked(expected as Json) as Record<string, Json>), ...sent };
    const told = await this.call('POST', '/mock/verify', 'control', wanted);
    const verdict = told as { verified: boolean; matched: number[]; report?: string };
    if (!verdict.verified) throw new Error(verdict.report);
    return verdict.matched;
  }

  /** Forgets the journal. */
  async clearJournal(): Promise<void> {
    await this.call('DELETE', '/mock/journal', 'control');
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

  /** Ends the server, if this is whose it is, and waits for its end; of a world, forgets it. */
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

  async #clock(change: Record<string, Json>): Promise<readonly Fired[]> {
    const { fired } = (await this.call('POST', '/mock/clock', 'control', change)) as {
      fired: Json;
    };
    return camelized(fired) as never;
  }

  #search({ body, ...search }: Search, bodies?: true): Promise<Json> {
    const asked = { ...(snaked(search as Json) as object), 'body~': body, bodies };
    const query = Object.entries(asked).filter(([, value]) => value !== undefined);
    const text = new URLSearchParams(query.map(([name, value]) => [name, String(value)]));
    return this.call('GET', `/mock/journal?${text.toString()}`, 'control');
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
