/** What a marketplace for tests has in it, and what can be planned for it. */
import type { Code } from '../catalogue.js';
import type { Tier } from '../model.js';

/** A solution the marketplace was founded with. */
export interface Solution {
  /** `sol_…` */
  readonly id: string;
  readonly name: string;
  /** The IANA time zone its quotas are counted in. */
  readonly timeZone: string;
  /** Where its pages are, and its publishable key may be used. */
  readonly allowedOrigins: readonly string[];
  /** The key its backend calls the marketplace with. */
  readonly secretKey: string;
  /** The key its pages in browsers name it by. */
  readonly publishableKey: string;
}

/** A customer the marketplace was founded with. */
export interface Customer {
  /** `cus_…` */
  readonly id: string;
  /** `null` for an anonymous visitor. */
  readonly name: string | null;
  readonly email: string | null;
  /** The solutions the customer has subscribed to, and in which tier. */
  readonly subscriptions: Readonly<Record<string, Tier>>;
}

/** Something that goes wrong in the next call of an operation. A delay may come before either of the others. */
export interface Fault {
  /** The operation, as the API page names it: `POST /api/track-usage`. */
  readonly on: string;
  /** How much longer the call takes, in milliseconds. */
  readonly delayMs?: number;
  /** The connection is reset: before the call has its effect, or after it. */
  readonly reset?: 'before_commit' | 'after_commit';
  /** The status of an error that answers the call, which has no effect. */
  readonly status?: number;
  /** The answer's code; without it, the one that goes with its status. */
  readonly code?: Code;
  /** Headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** How often each of some callers may call. */
export interface Limit {
  /** Each key, each token, each address without one, each address that registers or signs in. */
  readonly callers: 'key' | 'token' | 'open' | 'sign_in';
  readonly perSecond: number;
  /** Calls at once; as many as a second's unless set. */
  readonly burst?: number;
}

/** A call of the API, and how it was answered. */
export interface JournalEntry {
  /** Counts the calls, from 1. */
  readonly seq: number;
  /** When it was answered, by the marketplace's clock. */
  readonly at: string;
  /** Method and path, with the path's parameters in braces: `POST /api/track-usage`. */
  readonly operation: string;
  /** `null` if the connection was reset instead. */
  readonly status: number | null;
  /** The code it was refused with. */
  readonly code?: Code;
  readonly requestId: string;
  /** What was done to it on purpose: `reset after_commit`, `outage`. */
  readonly fault?: string;
}

/** Who makes a call: a solution's backend, the marketplace itself, the test; or whose token that is. */
export type Credential = 'solution' | 'admin' | 'control' | { readonly token: string };
