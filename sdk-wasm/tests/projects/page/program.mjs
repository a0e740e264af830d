import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

const { url, solution, token } = Object.fromEntries(new URLSearchParams(location.search));
const sdk = new MarketplaceSDK({ url, solution });
sdk
  .validateUser(token)
  .then(async ({ customerId }) => {
    const receipt = await sdk.trackUsage(token, 'view');
    await receipt.delivered;
    document.title = customerId;
  })
  .catch((error) => (document.title = `failed: ${error}`));
