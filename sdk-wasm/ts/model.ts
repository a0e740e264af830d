// Made of sdk-core/src/model by `cargo xtask generate`, by way of docs/openapi.json.

/** How long the buckets of a usage history are, by the clocks of the solution's time zone. */
export type Bucket = 'hour' | 'day' | 'month';

/** An event that counted, and what it counts as. What is counted in a bucket of the history is the sum of what `counts` in it. */
export interface CountedEvent {
  /** The action, by the name the solution gave. */
  readonly action: string;
  /** The event whose quantity it puts right. */
  readonly amends?: EventRef;
  /** What it adds to what was used: its quantity, or the difference it makes to the event it puts right. */
  readonly counts: number;
  /** In the buckets of when: those in which it occurred, or the event it puts right. */
  readonly countsAt: string;
  /** The event's id, `evt_…`. */
  readonly id: string;
  /** The caller's own name for it; told to the solution alone. */
  readonly idempotencyKey?: string;
  /** The day it occurred in had ended when it arrived. */
  readonly late?: boolean;
  /** What amendments and voids have left of its quantity; absent if it was never put right. */
  readonly left?: number;
  /** A few bounded facts about it; no free text. */
  readonly metadata?: Readonly<Record<string, string | number | boolean | null>>;
  /** When it occurred, as the event said. */
  readonly occurredAt: string;
  /** It was allowed while the marketplace could not be reached, and counts beyond the limit, too. */
  readonly overage?: boolean;
  /** How much of it, as the event said. That of a void says nothing. */
  readonly quantity: number;
  /** When the marketplace took it. */
  readonly receivedAt: string;
  /** What it is called when it is put right. */
  readonly reference: EventRef;
  /** The event it takes back. */
  readonly voids?: EventRef;
}

/** Names an event that was sent before, to correct it. */
export type EventRef = {
  /** Its number; a producer's first is 1. */
  readonly number: number;
  /** The producer, `prd_…`. */
  readonly producer: string;
} | {
  /** The event's id. */
  readonly id: string;
};

/** Why an event that was given a number can't be sent. */
export type LossReason = 'damaged' | 'overflow' | 'expired' | 'unacknowledged' | 'unknown';

/** How much of an action a customer may use in a window of time, and has used. */
export interface Quota {
  /** The action, by the name the solution gave. */
  readonly action: string;
  /** What is promised to leases and not yet used. */
  readonly leased?: number;
  /** The most that may be used in one window, in the action's unit; `null` is without limit. */
  readonly limit: number | null;
  /** What happens at the limit. */
  readonly policy: QuotaPolicy;
  /** What is left: limit − used − leased, not below zero; `null` is without limit. */
  readonly remaining: number | null;
  /** When the next window begins, in the solution's time zone. */
  readonly resetsAt: string;
  /** What has been used in this window. May exceed a soft limit. */
  readonly used: number;
  /** How long a window is. */
  readonly window: Window;
}

/** What happens when a quota is used up. */
export type QuotaPolicy = 'soft' | 'hard' | 'unknown';

/** What a customer has subscribed to, from the least to the most. */
export type Tier = 'anonymous' | 'registered' | 'pro' | 'enterprise' | 'unknown';

/** What a customer hands to a solution: a short-lived access token and what renews it. */
export interface TokenPair {
  /** An Ed25519-signed JWT whose audience is the solution. */
  readonly accessToken: string;
  /** When the access token ends. */
  readonly expiresAt: string;
  /** Renews the pair once; `cnrt_…`. */
  readonly refreshToken: string;
}

/** What a customer used of an action in a bucket of time. Usage counts where it occurred, however late it arrived; a bucket without usage is not listed. */
export interface UsageBucket {
  /** The action, by the name the solution gave. */
  readonly action: string;
  /** The bucket's first moment. */
  readonly beginsAt: string;
  /** The first moment of the next. */
  readonly endsAt: string;
  /** How much was used, in the action's unit. */
  readonly quantity: number;
}

/** One thing a customer did, as it is billed. Fields this release does not know are ignored, so that an older server takes a newer SDK's spool. */
export interface UsageEvent {
  /** What was done, by the name the solution gave. */
  readonly action: string;
  /** An earlier event of this customer and action, whose quantity was wrong: this event's is the right one. What counts is the difference, in the window in which that event occurred. */
  readonly amends?: EventRef;
  /** Who did it: the token's `sub`. */
  readonly customerId: string;
  /** `evt_…`, made by the client; counts once however often it arrives. */
  readonly id: string;
  /** The caller's own name for this event: a second event with the same key is a duplicate. */
  readonly idempotencyKey?: string;
  /** The lease it was allowed by, `lse_…`, of the producer that sends it: it was charged when the lease was granted. A lease that is unknown or has too little left is passed over. */
  readonly lease?: string;
  /** A few bounded facts about it; no free text. */
  readonly metadata?: Readonly<Record<string, string | number | boolean | null>>;
  /** When, by the client's corrected clock. */
  readonly occurredAt: string;
  /** It was allowed while the marketplace could not be reached and no lease was left. It counts beyond the limit, too, if the solution allows that. */
  readonly overage?: boolean;
  /** How much of it, in the action's unit; at least 1. */
  readonly quantity: number;
  /** The token it was done with: its `jti`, never the token itself. */
  readonly tokenId: string;
  /** An earlier event of this customer and action that should not have been sent: nothing of it counts any more. This event's quantity says nothing. */
  readonly voids?: EventRef;
}

/** Who a token speaks for, and what they may do: the answer of `GET /api/user-context`. */
export interface UserContext {
  /** The customer, `cus_…`. */
  readonly customerId: string;
  /** What the tier switches on, by the names the solution gave. */
  readonly entitlements?: readonly string[];
  /** When the token ends. */
  readonly expiresAt: string;
  /** The name the customer gave; absent for an anonymous visitor. */
  readonly name?: string;
  /** The customer's quotas in this solution, one for each limited action. */
  readonly quotas?: readonly Quota[];
  /** The solution the token is for, `sol_…`. */
  readonly solutionId: string;
  /** The customer's tier in this solution. */
  readonly tier: Tier;
  /** The token, `tok_…`. */
  readonly tokenId: string;
}

/** The length of a quota's window. Windows begin at midnight of the solution's time zone. */
export type Window = 'day' | 'month' | 'unknown';
