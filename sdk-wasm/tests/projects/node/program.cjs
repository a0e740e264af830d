const { MarketplaceSDK } = require('@cloudnestle/marketplace-sdk');

async function main() {
  const sdk = new MarketplaceSDK();
  const { customerId } = await sdk.validateUser(process.env.TOKEN);
  await sdk.trackUsage(process.env.TOKEN, 'search');
  console.log(customerId);
}
main();
