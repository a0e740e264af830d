import { MarketplaceSDK, type User } from '@cloudnestle/marketplace-sdk';

declare const process: { env: { TOKEN: string } };

const sdk = new MarketplaceSDK<{ actions: 'search' }>();
const { customerId }: User = await sdk.validateUser(process.env.TOKEN);
await sdk.trackUsage(process.env.TOKEN, 'search');
console.log(customerId);
