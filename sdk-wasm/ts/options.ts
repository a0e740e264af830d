/** What programs set: the SDK, a call, an event. */
import type { EventRef } from './types.js';

/** What a single call may be told. */
export interface CallOptions {
  /** Gives the call up. What it has begun for others goes on. */
  readonly signal?: AbortSignal;
  /**
   * Gives the call up after so many milliseconds, with `deadline_exceeded`. What it has begun for others goes on: who
   * tracks usage with `durability: 'durable'` and tries again gives the event an `idempotencyKey`, for the first may be noted.
   */
  readonly deadlineMs?: number;
}

/** What a program narrows: the solution's actions. */
export interface Actions {
  actions: string;
}

/** What a backend and a client are both set up with. */
export interface CommonOptions {
  /** The solution's id, `sol_…` (`CLOUDNESTLE_SOLUTION`): tokens for any other are refused. */
  readonly solution?: string;
  /** The marketplace (`CLOUDNESTLE_URL`); a test key defaults to the local mock server. */
  readonly url?: string;
  /** The exact `iss` of the marketplace's tokens, if it is not its URL (`CLOUDNESTLE_ISSUER`). */
  readonly issuer?: string;
  /** How long asking the marketplace one thing may take, retries included; 5,000 unless set. */
  readonly deadlineMs?: number;
  /** How much usage may wait, and what happens beyond that. */
  readonly spoolLimits?: {
    readonly events?: number;
    readonly bytes?: number;
    readonly ageMs?: number;
    readonly overflow?: 'reject' | 'dropOldest' | 'dropNewest';
  };
  /** When an event counts as noted: when it is written, or when it survives the loss of power, too. */
  readonly durability?: 'fast' | 'durable';
  /** What requests are sent with, in place of the platform's `fetch`. */
  readonly fetch?: typeof globalThis.fetch;
}

/** How an SDK is set up. What is not given comes from the `CLOUDNESTLE_*` environment, where there is one. */
export interface Options extends CommonOptions {
  /** The solution's secret key (`CLOUDNESTLE_SECRET_KEY`). It belongs on a server, never in a browser. */
  readonly secretKey?: string;
  /**
   * Where to get the key that has replaced the secret key: asked when the marketplace refuses the one in
   * use, at most every 5 s. `undefined` is no news.
   */
  readonly secretKeyProvider?: () => Promise<string | undefined>;
  /** Whom a validation asks; `connected` unless set. */
  readonly validation?: 'connected' | 'online' | 'local';
  /** The folder usage waits in until it is delivered (`CLOUDNESTLE_SPOOL_DIR`), or `memory`. */
  readonly spool?: { readonly dir: string } | 'memory';
  /**
   * Where functions are frozen once they have answered: what has the platform wait for a promise. After each event it
   * is handed the delivery. On Vercel and on Cloudflare Workers it is found, and need not be set.
   */
  readonly waitUntil?: (delivery: Promise<unknown>) => void;
}

/** What keeps texts by their names, as a page's `sessionStorage` does. */
export type TokenStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** How the SDK of a client is set up. */
export interface ClientOptions extends CommonOptions {
  /**
   * The solution's publishable key, for who opens it and for visitors. It proves nothing, and everybody may
   * read it.
   */
  readonly publishableKey?: string;
  /** Keeps usage in memory alone until it is delivered: what is not when the page goes, is gone. */
  readonly spool?: 'memory';
  /**
   * Where `keepFresh` keeps the newest pair, so that `resume` has it after the page was loaded again: `session` is the
   * tab's `sessionStorage`; `localStorage` may be handed in as it is, and so may anything of its kind. In memory alone
   * unless set: whatever script runs in the page can read what is stored, and renew the pair for days.
   */
  readonly tokenStorage?: 'session' | TokenStorage;
  /** Never: it would be everybody's. */
  readonly secretKey?: never;
  /** Never, either. */
  readonly secretKeyProvider?: never;
}

/** What was done. */
export interface UsageOptions extends CallOptions {
  /** How much of it, in the unit the solution declared for the action; 1 unless set. */
  readonly quantity?: number;
  /** Your own name for this event: a second event with the same key is not counted. */
  readonly idempotencyKey?: string;
  /** Facts to keep with the event: at most 20, each a short text, a number or a truth value. */
  readonly metadata?: Readonly<Record<string, string | number | boolean | null>>;
  /** An earlier event whose quantity was wrong: this one's is right. */
  readonly amends?: EventRef;
  /** An earlier event to take back. */
  readonly voids?: EventRef;
}

/** Which usage is asked for. */
export interface UsageFilter extends CallOptions {
  readonly action?: string;
  /** What counts at this moment or later. */
  readonly since?: string | Date;
  /** What counts before this moment. */
  readonly until?: string | Date;
  /** How much a page has: 50 unless set, and at most 100. */
  readonly pageSize?: number;
}
