// A client's types: what a page may say, and what must not compile.
import {
  ConfigError,
  MarketplaceSDK,
  type Options,
  type Quota,
  type User,
} from '@cloudnestle/marketplace-sdk/client';

const options: Options = { url: 'https://marketplace.example', solution: 'sol_faiss_search' };
const sdk = new MarketplaceSDK<{ actions: 'view' }>(options);

export async function uses(token: string): Promise<void> {
  const user: User = await sdk.validateUser(token);
  const quotas: readonly Quota[] = await sdk.quotas(token);
  const receipt = await sdk.usage.trackUsage(token, 'view');
  await receipt.delivered;
  sdk.on('usageWaiting', ({ error }) => console.log(error.code));
  const { requests, usage } = sdk.stats();
  // @ts-expect-error the solution has no such action
  await sdk.trackUsage(token, 'export');
  // @ts-expect-error a hard limit is the backend's to spend
  await sdk.consume(token, 'view');
  // @ts-expect-error and so is the end of a token
  await sdk.auth.revokeToken(token);
  // @ts-expect-error a client holds no blocks of a limit
  void sdk.stats().leases;
  await using other = sdk.withOptions({ deadlineMs: 800 });
  void [user, quotas, requests, usage, other, ConfigError];
}

// @ts-expect-error a page keeps no secret
new MarketplaceSDK({ ...options, secretKey: 'cnsk_test_1' });
// @ts-expect-error nor has it a folder
new MarketplaceSDK({ ...options, spool: { dir: 'usage' } });
