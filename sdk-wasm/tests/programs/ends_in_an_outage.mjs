import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

// Nobody takes usage.
const fetch = (input, init) =>
  String(input).endsWith('/api/track-usage')
    ? Promise.reject(new TypeError('fetch failed'))
    : globalThis.fetch(input, init);
const sdk = new MarketplaceSDK({ fetch });
for (let event = 0; event < 10; event += 1) await sdk.trackUsage(process.env.TOKEN, 'search');
