/** What a program may name, whatever the SDK. */
export type { Actions, CallOptions, UsageOptions } from './options.js';
export { TokenSource } from './source.js';
export type { Receipt } from './receipt.js';
export {
  ConfigError,
  ErrorHandler,
  MarketplaceError,
  QuotaExceededError,
  RateLimitedError,
  UnavailableError,
  UserRefusedError,
  isMarketplaceError,
} from './errors.js';
export type { RefusalCode } from './errors.js';
export type { Code } from './catalogue.js';
export type { EventMap, Listener } from './events.js';
export type * from './types.js';
