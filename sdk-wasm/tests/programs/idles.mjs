import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

const sdk = new MarketplaceSDK();
await sdk.validateUser(process.env.TOKEN);
console.log('validated');
