// What a partner's backend does all day, in JavaScript: who is this user, may they do this, and note that
// they did it. `cargo xtask demo --node` runs it; by hand, set the variables that
// `cloudnestle-mock-server` prints, and CLOUDNESTLE_TOKEN to a token.
import { ErrorHandler, MarketplaceSDK, QuotaExceededError } from '@cloudnestle/marketplace-sdk';

const token = process.env.CLOUDNESTLE_TOKEN;
const sdk = new MarketplaceSDK();
sdk.on('usageDelivered', ({ count }) => console.log(`  (${count} delivered)`));

// A page asks for every request. The second time nobody else is asked.
for (const time of ['first', 'second']) {
  const { customerId, tier, verified, freshness } = await sdk.validateUser(token);
  const { requests } = sdk.stats();
  console.log(`${time}: ${customerId}, ${tier}, ${verified}, ${freshness}, after ${requests} requests`);
}

try {
  await sdk.validateUser(`${token.slice(0, -4)}AAAA`);
} catch (error) {
  console.log(`forged: ${error.code}, refuses the user: ${ErrorHandler.refusesUser(error)}`);
}

const receipt = await sdk.trackUsage(token, 'search', { quantity: 3 });
await receipt.delivered;
const { quotas } = await sdk.getUserContext(token);
for (const { action, used, limit } of quotas) console.log(`${action}: ${used} of ${limit} used`);

try {
  await sdk.consume(token, 'export', { quantity: 1_000_000 });
} catch (error) {
  if (!(error instanceof QuotaExceededError)) throw error;
  console.log(`export: ${error.denial.remaining} left until ${error.denial.resetsAt}`);
}

// The program ends here. What it tracks now is delivered first.
await sdk.trackUsage(token, 'search');
