import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

const sdk = new MarketplaceSDK();
sdk.closeOnSignal();
for (let event = 0; event < 5; event += 1) await sdk.trackUsage(process.env.TOKEN, 'search');
console.log('tracked');
setInterval(() => undefined, 1000);
