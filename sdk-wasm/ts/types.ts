/** What crosses: the marketplace's words, with JavaScript's names. Times are RFC 3339, in UTC. */
import type { Code } from './catalogue.js';
import type { LossReason, Quota, Tier, UsageEvent, UserContext, Window } from './model.js';

export type * from './model.js';

/** How sure an answer is. */
export interface Certainty {
  /** Who stands behind it: the marketplace, which knows of revocations, or the token's own words alone. */
  readonly verified: 'online' | 'local';
  /** Whether it may be out of date: at most 5 s old, at most 30 s, or older because nobody can be reached. */
  readonly freshness: 'fresh' | 'stale' | 'offline';
  /** How long ago the marketplace said what it takes to say this, in milliseconds. */
  readonly ageMs: number;
}

/** Who a token speaks for. */
export interface User extends Certainty {
  /** The customer, `cus_…`. */
  readonly customerId: string;
  /** The customer's tier in this solution. */
  readonly tier: Tier;
  /** The solution, `sol_…`. */
  readonly solutionId: string;
  /** The token, `tok_…`. */
  readonly tokenId: string;
  /** When the token ends. */
  readonly expiresAt: string;
}

/** What a user may do: tier, entitlements, quotas; and how sure that is. */
export type UserContextAnswer = UserContext & Certainty;

/** Why somebody may not, in particulars. */
export interface Denial {
  readonly action: string;
  /** The most they may, in one window. */
  readonly limit: number;
  readonly used: number;
  /** What is set aside for other programs that may use it. */
  readonly leased: number;
  /** What is left; less than was wanted. */
  readonly remaining: number;
  readonly window: Window;
  /** When the next window begins. */
  readonly resetsAt: string;
  /** Where they get a higher tier, if the solution has said so. */
  readonly upgradeUrl: string | null;
}

/**
 * What became of usage since the SDK was built: `tracked = delivered + pending + rejected + lost.total`. In a page, of what all
 * tabs of the site have noted for the same customer: they share a log, and each counts all that is in it.
 */
export interface UsageStats {
  readonly tracked: number;
  readonly delivered: number;
  readonly pending: number;
  /** How many of those wait in memory alone. */
  readonly inMemory: number;
  readonly rejected: number;
  readonly lost: {
    readonly total: number;
    readonly damaged: number;
    readonly overflow: number;
    readonly expired: number;
    readonly unacknowledged: number;
  };
}

/** What a client has done since it was built. */
export interface ClientStats {
  /** Requests sent, each attempt counted. */
  readonly requests: number;
  /** How far the marketplace's clock is ahead of this machine's. */
  readonly clockOffsetMs: number;
  readonly usage: UsageStats;
}

/** What the SDK has done since it was built. */
export interface Stats extends ClientStats {
  /** What became of the blocks of hard limits that `consume` spends. */
  readonly leases: {
    readonly taken: number;
    readonly held: number;
    readonly returned: number;
    readonly givenUp: number;
  };
}

/** How the SDK was left. */
export interface CloseReport {
  readonly usage: UsageStats;
}

/** An event that the marketplace refused for good, and why. */
export interface RejectedUsage {
  readonly code: Code;
  readonly event: UsageEvent;
}

/** What stands between a program and the marketplace. Holds no secret. */
export interface Diagnosis {
  readonly url: string;
  readonly solutionId: string;
  readonly severity: 'good' | 'warning' | 'bad';
  readonly findings: readonly Finding[];
  /** The same as a page to read. */
  readonly text: string;
}

/** What was found about one thing. */
export interface Finding {
  readonly check: string;
  readonly severity: 'good' | 'warning' | 'bad';
  readonly code: Code | null;
  readonly message: string;
  readonly advice: string | null;
}

export type { LossReason, Quota };
