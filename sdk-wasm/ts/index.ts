/** What a program may name. */
export { MarketplaceSDK } from './sdk.js';
export type { Actions, CallOptions, Options, UsageFilter, UsageOptions } from './options.js';
export { AuthManager, UsageTracker } from './managers.js';
export { TokenSource } from './source.js';
export type { Receipt, Consumed } from './receipt.js';
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
