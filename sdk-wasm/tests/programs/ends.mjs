import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

const sdk = new MarketplaceSDK();
for (let event = 0; event < 10; event += 1) await sdk.trackUsage(process.env.TOKEN, 'search');
