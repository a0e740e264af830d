// As a program in CommonJS sees it.
import sdk = require('@cloudnestle/marketplace-sdk');
import testing = require('@cloudnestle/marketplace-sdk/testing');

const marketplace: sdk.MarketplaceSDK = new sdk.MarketplaceSDK();
export const user: Promise<sdk.User> = marketplace.validateUser('token');
export const started: Promise<testing.TestMarketplace> = testing.startMarketplace();
