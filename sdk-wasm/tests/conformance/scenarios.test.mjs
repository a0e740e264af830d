// The Node face, scenario by scenario.
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { conformance } from './play.mjs';

/** What the face does not offer. */
const MISSING = new Set(['client']);

conformance({
  why({ needs }) {
    const missing = needs.filter((need) => MISSING.has(need));
    return missing.length > 0 ? `Node has no ${missing.join(', ')}` : undefined;
  },
  /** What only this face is set up with. */
  options: (own) => own,
  open: (options) => new MarketplaceSDK(options),
});
