import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';

let marketplace;
before(async () => (marketplace = await startMarketplace()));
after(() => marketplace.stop());

test('a user is validated, and what they do is counted', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');

  const user = await sdk.validateUser(accessToken);
  assert.equal(user.customerId, 'cus_ravi');
  assert.equal(user.verified, 'online');

  const receipt = await sdk.trackUsage(accessToken, 'search', { quantity: 3 });
  assert.match(receipt.id, /^evt_/);
  await receipt.delivered;
  assert.equal(await marketplace.used('cus_ravi', 'search'), 3);

  const report = await sdk.close();
  assert.equal(report.usage.delivered, 1);
  assert.equal(report.usage.pending, 0);
});

test('what was closed takes nothing more', async () => {
  const sdk = new MarketplaceSDK(marketplace.options());
  const { accessToken } = await marketplace.tokenPair('cus_ravi');
  await sdk.close();
  await assert.rejects(sdk.trackUsage(accessToken, 'search'), { code: 'closed' });
});

test('a setting that is wrong is named', () => {
  assert.throws(() => new MarketplaceSDK({ ...marketplace.options(), secretKey: 'cnak_test_1' }), {
    name: 'ConfigError',
    code: 'config_invalid',
    message: /admin key/,
  });
});
