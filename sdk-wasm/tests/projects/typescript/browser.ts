// With the condition `browser` the package itself is the client.
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

new MarketplaceSDK({ url: 'https://marketplace.example', publishableKey: 'cnpk_test_1' });
// @ts-expect-error a page keeps no secret
new MarketplaceSDK({ secretKey: 'cnsk_test_1' });
