import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

export const dynamic = 'force-dynamic';

const sdk = new MarketplaceSDK();

export async function GET(request) {
  const token = request.headers.get('authorization').slice('Bearer '.length);
  const { customerId } = await sdk.validateUser(token);
  const receipt = await sdk.trackUsage(token, 'search');
  await receipt.delivered;
  return Response.json({ customerId });
}
