/** What a client may name. */
export { MarketplaceSDK } from './client_sdk.js';
export type { ClientOptions as Options, TokenStorage } from './options.js';
export {
  ClientAuthManager as AuthManager,
  ClientUsageTracker as UsageTracker,
} from './managers.js';
export * from './common.js';
