/** What a backend may name. */
export { MarketplaceSDK } from './sdk.js';
export type { Options, UsageFilter } from './options.js';
export { AuthManager, UsageTracker } from './managers.js';
export type { Consumed } from './receipt.js';
export * from './common.js';
