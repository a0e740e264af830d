/** For tests of programs that use the SDK: a marketplace of their own. */
export { MarketplaceCallError, TestMarketplace } from './testing/marketplace.js';
export { connectMarketplace, startMarketplace } from './testing/start.js';
export type { ConnectOptions, StartOptions } from './testing/start.js';
export type {
  Condition,
  Credential,
  Customer,
  Expected,
  Fault,
  Fired,
  JournalCall,
  JournalEntry,
  Limit,
  Matcher,
  NewWorld,
  RecordedAnswer,
  RecordedRequest,
  Search,
  Solution,
} from './testing/world.js';
