import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

process.on('warning', (warning) => console.log(warning.message));
const sdks = Array.from({ length: 20 }, () => new MarketplaceSDK());
for (const sdk of sdks) await sdk.trackUsage(process.env.TOKEN, 'search');
