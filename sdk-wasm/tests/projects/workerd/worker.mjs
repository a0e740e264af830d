import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

let sdk;

export default {
  async fetch(request, env) {
    sdk ??= new MarketplaceSDK({
      url: env.CLOUDNESTLE_URL,
      solution: env.CLOUDNESTLE_SOLUTION,
      secretKey: env.CLOUDNESTLE_SECRET_KEY,
    });
    const token = request.headers.get('authorization').slice('Bearer '.length);
    const { customerId } = await sdk.validateUser(token);
    await sdk.trackUsage(token, 'search');
    // Delivery is not waited for here: it is the platform that does.
    return Response.json({ customerId });
  },
};
