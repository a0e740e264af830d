// As a program in CommonJS sees it.
import sdk = require('@cloudnestle/marketplace-sdk');

const marketplace: sdk.MarketplaceSDK = new sdk.MarketplaceSDK();
export const user: Promise<sdk.User> = marketplace.validateUser('token');
