/** For tests of programs that use the SDK: a marketplace of their own. */
export { MarketplaceCallError, TestMarketplace } from './testing/marketplace.js';
export { connectMarketplace, startMarketplace } from './testing/start.js';
export type { ConnectOptions, StartOptions } from './testing/start.js';
export type {
  Credential,
  Customer,
  Fault,
  Fired,
  JournalCall,
  JournalEntry,
  Limit,
  NewWorld,
  RecordedAnswer,
  RecordedRequest,
  Search,
  Solution,
} from './testing/world.js';
