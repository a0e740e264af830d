/** What a marketplace for tests has in it, and what can be planned for it. */
import type { Code } from '../catalogue.js';
import type { Tier } from '../model.js';
import type { Json } from '../names.js';

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

/**
 * Something that goes wrong in the next call it is for, or in so many. It does one thing; a delay and a wrong `Date` may come with it,
 * or be all.
 */
export interface Fault {
  /** The operation, as the API page names it: `POST /api/track-usage`; `*` for any. */
  readonly on: string;
  /** Only calls of this solution's keys and tokens meet it, and those that name the solution without either. */
  readonly solution?: string;
  /** Only calls with this in their header `CloudNestle-Test` meet it. */
  readonly test?: string;
  /** How many calls meet it; one unless set. */
  readonly times?: number;
  /** How many calls that could have met it are let through before. */
  readonly after?: number;
  /** How probable it is that a call meets it that could, from 0 to 1; certain unless set. */
  readonly probability?: number;
  /** After how many milliseconds, by the marketplace's clock, no call meets it any more. */
  readonly expiresMs?: number;
  /** How much longer the call takes, in milliseconds; or what that is drawn from. */
  readonly delayMs?:
    number | { uniform: [number, number] } | { lognormal: { median: number; sigma: number } };
  /** By how many milliseconds the answer's `Date` is off. */
  readonly dateOffsetMs?: number;
  /** The connection is reset: before the call has its effect, or after it. */
  readonly reset?: 'before_commit' | 'after_commit';
  /** The connection is closed without an answer: before the call has its effect, or after it. */
  readonly empty?: 'before_commit' | 'after_commit';
  /** The answer ends after this share of its body, 0 until before 1, and the connection with it. */
  readonly truncated?: number;
  /** The answer is no HTTP, or its body half of what it was, and no JSON. */
  readonly malformed?: 'http' | 'json';
  /** The answer's body comes in so many pieces. */
  readonly drip?: { pieces: number; overMs: number };
  /** How many milliseconds nothing more comes after half of the body, until the connection is closed. */
  readonly stallMs?: number;
  /** The call is performed twice; the answer is the second one. */
  readonly duplicate?: true;
  /** The next signing key takes over: before the call has its effect, or after it. */
  readonly rotateKey?: 'before_commit' | 'after_commit';
  /** The status that answers the call, which has no effect. */
  readonly status?: number;
  /** The answer's body: text as it is, anything else as JSON; without it, an error has its usual form. */
  readonly body?: Json;
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
  /** What was done to it on purpose: `flt_1: reset after_commit`, `outage`. */
  readonly fault?: string;
}

/** Which calls of the journal are wanted. */
export interface Search {
  /** Method and path, with the path's parameters in braces. */
  readonly operation?: string;
  readonly status?: number;
  readonly code?: Code;
  readonly requestId?: string;
  /** The test that made it, as its header `CloudNestle-Test` says. */
  readonly test?: string;
  /** A customer whom the path, the query, a body or the token names. */
  readonly customer?: string;
  /** Calls after this number alone. */
  readonly after?: number;
  /** The most that are answered, the oldest first. */
  readonly limit?: number;
  /** What is in the body that was sent or answered, as it is shown: without secrets. */
  readonly body?: string;
}

/** What is expected of a value that was sent: the value, of an object only the fields that matter; or conditions in its place. */
export type Matcher = Json | Condition | readonly Matcher[] | { readonly [field: string]: Matcher };

/** What a value is like. Each that is set holds. */
export interface Condition {
  /** Whether it is there. */
  readonly $exists?: boolean;
  /** A text with this in it, or a list with an item like this. */
  readonly $contains?: Matcher;
  readonly $gt?: number;
  readonly $gte?: number;
  readonly $lt?: number;
  readonly $lte?: number;
}

/** Calls that a test expects to find in the journal; once or more often, unless it is said how often. */
export interface Expected {
  /** Method and path, with the path's parameters in braces: `POST /api/track-usage`. */
  readonly operation: string;
  /** Exactly so often. */
  readonly times?: number;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** The status they were answered with. */
  readonly status?: number;
  /** The code they were refused with. */
  readonly code?: Code;
  /** The test that made them, as their header `CloudNestle-Test` says. */
  readonly test?: string;
  /** Calls after this number alone. */
  readonly after?: number;
  readonly headers?: { readonly [name: string]: Matcher };
  readonly query?: { readonly [name: string]: Matcher };
  /** What was sent, in the words of the wire. */
  readonly body?: Matcher;
}

/** An answer, as the journal shows it: without secrets. Names in it are the wire's. */
export interface RecordedAnswer {
  readonly headers: Readonly<Record<string, string>>;
  /** JSON, or text; absent if there was none, or it is not shown. */
  readonly body?: Json;
}

/** What was sent, shown likewise. */
export interface RecordedRequest extends RecordedAnswer {
  readonly method: string;
  /** As it was asked for, decoded: `/api/quotas/cus_ravi/sol_faiss_search`. */
  readonly path: string;
  /** What came after the `?`, decoded. */
  readonly query: Readonly<Record<string, string>>;
}

/** A call of the journal, whole. */
export interface JournalCall extends JournalEntry {
  readonly request: RecordedRequest;
  /** Absent if it got none. */
  readonly answer?: RecordedAnswer;
}

/** What a world is like before it is made. What is not set is drawn, or as it is in the server's own. */
export interface NewWorld {
  /** `wld_…`: letters, digits, `-` and `_`. */
  readonly id?: string;
  /** Its ids and keys are made of this and its own id, and of nothing else. */
  readonly seed?: number;
  /** What its clock shows when it begins. */
  readonly now?: Date | string;
  /** Whether its clock stands still until it is moved. */
  readonly frozen?: boolean;
  /** Who is in it, in the form of a seed file. */
  readonly founding?: { readonly [name: string]: Json };
  /** A snapshot of the server's own world that it begins with, `snp_…`, in place of a founding. */
  readonly snapshot?: string;
}

/** Something that was due, and happened: `{ task: 'token_expires', at: …, tokenId: … }`. */
export interface Fired {
  /** When it was due. */
  readonly at: string;
  readonly task: string;
  readonly [detail: string]: unknown;
}

/** Who makes a call: a solution's backend, the marketplace itself, the test; or whose token that is. */
export type Credential = 'solution' | 'admin' | 'control' | { readonly token: string };
