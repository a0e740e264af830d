// The types themselves: what compiles here, and what must not.
import {
  ErrorHandler,
  MarketplaceSDK,
  QuotaExceededError,
  UserRefusedError,
  isMarketplaceError,
  type Quota,
  type Receipt,
  type User,
} from '@cloudnestle/marketplace-sdk';
import { startMarketplace, type TestMarketplace } from '@cloudnestle/marketplace-sdk/testing';

const sdk = new MarketplaceSDK<{ actions: 'search' | 'index' }>({ secretKey: 'cnsk_test_1' });

export async function uses(token: string): Promise<void> {
  const user: User = await sdk.validateUser(token);
  const freshness: 'fresh' | 'stale' | 'offline' = user.freshness;
  // @ts-expect-error an answer is nobody's to change
  user.tier = 'pro';

  const receipt: Receipt = await sdk.trackUsage(token, 'search', { quantity: 3 });
  await receipt.delivered;
  // @ts-expect-error the solution has no such action
  await sdk.trackUsage(token, 'serach');
  // @ts-expect-error nor for what is consumed
  await sdk.usage.consume(token, 'export');
  // @ts-expect-error metadata is flat
  await sdk.trackUsage(token, 'search', { metadata: { nested: { no: 1 } } });

  // Without actions any name will do.
  await new MarketplaceSDK().trackUsage(token, 'anything');

  const quota: Quota | undefined = await sdk.quota('cus_ravi', 'index');
  const limit: number | null | undefined = quota?.limit;
  for await (const bucket of sdk.usageHistory('cus_ravi', { bucket: 'month' })) {
    const quantity: number = bucket.quantity;
    void quantity;
  }
  // @ts-expect-error there are no weeks
  sdk.usageHistory('cus_ravi', { bucket: 'week' });

  sdk.on('usageRejected', ({ event, code }) => console.log(event.customerId, code));
  // @ts-expect-error nothing of that name happens
  sdk.on('usageLost', () => undefined);
  sdk.once('quotaWarning', (warning) => {
    const used: number = warning.used;
    void used;
  });
  await using other = sdk.withOptions({ deadlineMs: 800 });
  void [freshness, limit, other];
}

export function told(error: unknown): string {
  if (error instanceof QuotaExceededError) {
    const code: 'quota_exceeded' = error.code;
    return `${code} ${error.denial?.resetsAt}`;
  }
  if (error instanceof UserRefusedError) {
    switch (error.code) {
      case 'token_expired':
        return 'refresh';
      // @ts-expect-error that refuses no user
      case 'spool_full':
        return '';
      default:
        return error.advice;
    }
  }
  if (isMarketplaceError(error) && error.is('rate_limited')) {
    const code: 'rate_limited' = error.code;
    return `${code} ${error.retryAfterMs}`;
  }
  return ErrorHandler.isRetryable(error) ? 'again' : ErrorHandler.adviceOn('closed');
}

// @ts-expect-error there is no such mode
new MarketplaceSDK({ validation: 'sometimes' });

export async function tests(): Promise<number> {
  await using marketplace: TestMarketplace = await startMarketplace();
  const sdk = new MarketplaceSDK<{ actions: 'search' }>(marketplace.options({ spool: 'memory' }));
  await marketplace.inject({ on: 'POST /api/track-usage', status: 503, code: 'unavailable' });
  // @ts-expect-error the catalogue has no such code
  await marketplace.inject({ on: 'POST /api/track-usage', code: 'gone_fishing' });
  // @ts-expect-error nor is there such a tier
  await marketplace.setTier('cus_ravi', 'gold');
  await sdk.close();
  return marketplace.used('cus_ravi', 'search');
}
