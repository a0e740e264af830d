const assert = require('node:assert/strict');
const { test } = require('node:test');
const { MarketplaceSDK, isMarketplaceError } = require('@cloudnestle/marketplace-sdk');
const { startMarketplace } = require('@cloudnestle/marketplace-sdk/testing');

test('a program that requires the package counts usage, too', async () => {
  const marketplace = await startMarketplace();
  try {
    const sdk = new MarketplaceSDK(marketplace.options());
    const { accessToken } = await marketplace.tokenPair('cus_ravi');
    await sdk.trackUsage(accessToken, 'search');
    await sdk.flush();
    assert.equal(await marketplace.used('cus_ravi', 'search'), 1);
    await sdk.close();
  } finally {
    await marketplace.stop();
  }
});

test('an error of one copy of the package is known by the other', async () => {
  const modules = await import('@cloudnestle/marketplace-sdk');
  assert.notEqual(modules.MarketplaceSDK, MarketplaceSDK);
  try {
    new modules.MarketplaceSDK({ secretKey: 'mistyped' });
    assert.fail('it is mistyped');
  } catch (error) {
    assert.ok(isMarketplaceError(error));
  }
});
