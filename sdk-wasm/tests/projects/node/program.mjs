import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

const sdk = new MarketplaceSDK();
const { customerId } = await sdk.validateUser(process.env.TOKEN);
await sdk.trackUsage(process.env.TOKEN, 'search');
console.log(customerId);
