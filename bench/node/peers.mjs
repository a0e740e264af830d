// Who is measured, each behind the same few words. All are set up as their documentation says, with what they
// have by default; what is sent is the same.
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { Analytics } from '@segment/analytics-node';
import { PostHog } from 'posthog-node';

/** What is said of each event. */
const PROPERTIES = { job: 'nightly', pages: 3, cached: true };
const USER = 'cus_ravi';

class Ours {
  constructor(options) {
    this.sdk = new MarketplaceSDK(options);
    this.token = process.env.TOKEN;
  }

  /** Resolves when the event is acknowledged. */
  track() {
    return this.sdk.trackUsage(this.token, 'search', { metadata: PROPERTIES });
  }

  flush() {
    return this.sdk.flush();
  }

  whenAsked() {
    this.sdk.closeOnSignal();
  }
}

class Segment {
  constructor() {
    this.analytics = new Analytics({ writeKey: 'key', host: process.env.SINK });
    this.analytics.on('error', () => undefined);
  }

  track() {
    this.analytics.track({ userId: USER, event: 'search', properties: PROPERTIES });
  }

  flush() {
    return this.analytics.flush();
  }

  whenAsked() {}
}

class Posthog {
  constructor() {
    this.client = new PostHog('key', { host: process.env.SINK });
    this.client.on('error', () => undefined);
  }

  track() {
    this.client.capture({ distinctId: USER, event: 'search', properties: PROPERTIES });
  }

  flush() {
    return this.client.flush();
  }

  whenAsked() {}
}

/** By name: where an event is when the call has returned, and who takes it. */
export const PEERS = {
  'marketplace-sdk, disk': { keeps: 'file: survives the process', open: () => new Ours() },
  'marketplace-sdk, memory': { keeps: 'memory', open: () => new Ours({ spool: 'memory' }) },
  'posthog-node': { keeps: 'memory', open: () => new Posthog() },
  '@segment/analytics-node': { keeps: 'memory', open: () => new Segment() },
};

export const isOurs = (name) => name.startsWith('marketplace-sdk');
