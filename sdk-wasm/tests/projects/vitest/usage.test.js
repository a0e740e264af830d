import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { expect, test } from 'vitest';

test('what a user does is counted', async () => {
  const marketplace = await startMarketplace();
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  expect(await sdk.validateUser(accessToken)).toMatchObject({ customerId: 'cus_ravi' });
  await sdk.trackUsage(accessToken, 'search');
  await sdk.close();
  expect(await marketplace.used('cus_ravi', 'search')).toBe(1);
  await marketplace.stop();
});
