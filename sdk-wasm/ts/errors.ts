/**
 * Every error of the SDK: what went wrong (`code`), whether trying again can help (`retryable`) and what
 * to do (`advice`). None contains a secret.
 */
import type { CATALOGUE, Code } from './catalogue.js';
import { meaningOf } from './meaning.js';
import { camelized, type Json } from './names.js';
import type { Denial } from './types.js';

/** Two copies of this package may be loaded, as a module and by `require`: their errors know each other. */
const BRAND = Symbol.for('@cloudnestle/marketplace-sdk.error');

/** What an error is made of. */
export interface ErrorDetails<C extends Code = Code> {
  readonly code: C;
  readonly message?: string;
  readonly retryable?: boolean;
  readonly refusesUser?: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly requestId?: string | undefined;
  readonly docsUrl?: string | undefined;
  readonly field?: string | undefined;
  readonly denial?: Denial | undefined;
  readonly cause?: unknown;
}

/** An error of the SDK or the marketplace, by the catalogue (`docs/errors.md`). */
export class MarketplaceError<C extends Code = Code> extends Error {
  /** The catalogue's stable name for it; programs match on this. */
  readonly code: C;
  /** Whether the same call may succeed later: by the catalogue, unless the answer said otherwise. */
  readonly retryable: boolean;
  /** Whether it says that the user must not be let in, in contrast to errors that say that nobody knows. */
  readonly refusesUser: boolean;
  /** How long the marketplace asked to wait before trying again. */
  readonly retryAfterMs: number | undefined;
  /** The request that failed, as the marketplace knows it; for support. */
  readonly requestId: string | undefined;
  /** Where it is explained. */
  readonly docsUrl: string;
  /** The field of the request that is wrong. */
  readonly field: string | undefined;

  constructor(details: ErrorDetails<C>) {
    const { code, message } = details;
    const meaning = meaningOf(code);
    const docsUrl = details.docsUrl ?? `docs/errors.md#${code}`;
    super(
      message ?? `${code}: ${meaning?.reason ?? docsUrl}`,
      'cause' in details ? { cause: details.cause } : undefined,
    );
    this.code = code;
    this.retryable = details.retryable ?? meaning?.retryable ?? false;
    this.refusesUser = details.refusesUser ?? meaning?.refusesUser ?? false;
    this.retryAfterMs = details.retryAfterMs;
    this.requestId = details.requestId;
    this.docsUrl = docsUrl;
    this.field = details.field;
    Object.defineProperty(this, BRAND, { value: true });
  }

  override get name(): string {
    return 'MarketplaceError';
  }

  /** What to do about it, or where that is written: a page has the words if it imports `/prose`. */
  get advice(): string {
    return meaningOf(this.code)?.advice ?? `See ${this.docsUrl}`;
  }

  /** Whether it is the one with that code, by which its type is known, too. */
  is<K extends Code>(code: K): this is MarketplaceError<K> {
    return (this.code as Code) === code;
  }

  toJSON(): Record<string, unknown> {
    const { name, code, message, retryable, retryAfterMs, requestId, docsUrl, field, advice } =
      this;
    return { name, code, message, retryable, retryAfterMs, requestId, docsUrl, field, advice };
  }
}

/** The codes of a row of the catalogue that refuse the user. */
export type RefusalCode = {
  [C in Code]: (typeof CATALOGUE)[C]['refusesUser'] extends true ? C : never;
}[Code];

/** The user must not be let in. */
export class UserRefusedError extends MarketplaceError<RefusalCode> {
  override get name(): string {
    return 'UserRefusedError';
  }
}

/** A hard limit is used up; `denial` says of what, and until when. */
export class QuotaExceededError extends MarketplaceError<'quota_exceeded'> {
  /** The limit, and when it begins anew; absent where others gave something back meanwhile. */
  readonly denial: Denial | undefined;

  constructor(details: ErrorDetails<'quota_exceeded'>) {
    super(details);
    this.denial = details.denial;
  }

  override get name(): string {
    return 'QuotaExceededError';
  }
}

/** The marketplace asks to slow down; `retryAfterMs` says for how long. */
export class RateLimitedError extends MarketplaceError<'rate_limited'> {
  override get name(): string {
    return 'RateLimitedError';
  }
}

/** Nobody knows: the marketplace can't be reached, or not in time. */
export class UnavailableError extends MarketplaceError<
  'unavailable' | 'deadline_exceeded' | 'answer_invalid' | 'internal'
> {
  override get name(): string {
    return 'UnavailableError';
  }
}

/** The SDK is set up wrongly; the message names the setting. */
export class ConfigError extends MarketplaceError<'config_invalid'> {
  override get name(): string {
    return 'ConfigError';
  }
}

/** Whether something that was thrown is an error of the SDK, of whichever copy of this package. */
export function isMarketplaceError(error: unknown): error is MarketplaceError {
  return typeof error === 'object' && error !== null && BRAND in error;
}

/** The plan's name for the table of errors. */
export const ErrorHandler = {
  /** Whether something that was thrown is an error of the SDK. */
  isMarketplaceError,
  /** Whether the same call may succeed later. */
  isRetryable: (error: unknown): boolean => isMarketplaceError(error) && error.retryable,
  /** Whether the user must not be let in. */
  refusesUser: (error: unknown): boolean => isMarketplaceError(error) && error.refusesUser,
  /** What to do about an error, by its code. */
  adviceOn: (code: Code): string => new MarketplaceError({ code }).advice,
} as const;

/** An error as the core tells it. @internal */
export function errorOf(json: string): MarketplaceError {
  const details = withoutNulls(camelized(JSON.parse(json) as Json) as unknown as ErrorDetails);
  const { code, refusesUser } = details;
  if (refusesUser === true) return new UserRefusedError(details as ErrorDetails<RefusalCode>);
  switch (code) {
    case 'quota_exceeded':
      return new QuotaExceededError(details as ErrorDetails<'quota_exceeded'>);
    case 'rate_limited':
      return new RateLimitedError(details as ErrorDetails<'rate_limited'>);
    case 'config_invalid':
      return new ConfigError(details as ErrorDetails<'config_invalid'>);
    case 'unavailable':
    case 'deadline_exceeded':
    case 'answer_invalid':
    case 'internal':
      return new UnavailableError(details as ErrorDetails<'unavailable'>);
    default:
      return new MarketplaceError(details);
  }
}

/** The SDK itself has failed, and begun anew; so many events are lost with it. @internal */
export function internal(cause: unknown, lost = 0): MarketplaceError {
  const kept = lost === 0 ? 'usage is kept where its spool is' : `${lost} events were in memory`;
  const message = `internal: The SDK failed and has begun anew; ${kept}.`;
  return new UnavailableError({ code: 'internal', message, retryable: true, cause });
}

/**
 * A text, before it comes to the core: a program without types may have passed anything in its place.
 * @internal
 */
export function text(value: string): string {
  if (typeof value === 'string') return value;
  const message = `request_invalid: a text was expected, not ${value === null ? 'null' : typeof value}.`;
  throw new MarketplaceError({ code: 'request_invalid', message });
}

/** What has a form in JSON, in it: a program without types may have passed anything in its place. @internal */
export function jsonOf(value: unknown): string {
  let cause: unknown;
  try {
    const json = JSON.stringify(value) as string | undefined;
    if (json !== undefined) return json;
  } catch (thrown) {
    cause = thrown; // a circle, or a BigInt
  }
  const message = 'request_invalid: what was passed has no form in JSON.';
  throw new MarketplaceError({ code: 'request_invalid', message, cause });
}

/** A setting that has one of these words, if it has one. @internal */
export function oneOf(setting: string, value: unknown, words: readonly string[]): void {
  if (value === undefined || words.includes(value as string)) return;
  const known = words.map((word) => `'${word}'`).join(' or ');
  const message = `config_invalid: ${setting} can't be that; as a word it is ${known}.`;
  throw new ConfigError({ code: 'config_invalid', message });
}

function withoutNulls(details: ErrorDetails): ErrorDetails {
  const given = Object.entries(details).filter(([, value]) => value !== null);
  return Object.fromEntries(given) as unknown as ErrorDetails;
}
