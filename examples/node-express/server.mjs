// A solution's backend with Express: who is this user, may they do this, and note that they did it. Set the variables
// that `cloudnestle-mock-server` prints; a request brings its user's token as `Authorization: Bearer …`.
import { ErrorHandler, MarketplaceSDK, QuotaExceededError } from '@cloudnestle/marketplace-sdk';
import express from 'express';

// Delivers what it has tracked when the process is asked to end.
const sdk = new MarketplaceSDK().closeOnSignal();
sdk.on('usageRejected', ({ event, code }) =>
  console.warn(`${event.action} does not count: ${code}`),
);

const app = express();

app.use(async (request, response, next) => {
  request.token = request.get('authorization')?.replace(/^Bearer /, '') ?? '';
  request.user = await sdk.validateUser(request.token);
  next();
});

// Counted, and never in the way: this waits for nobody.
app.get('/search', async ({ token, user, query }, response) => {
  await sdk.trackUsage(token, 'search');
  response.json({ found: [], for: query.q, customer: user.customerId, tier: user.tier });
});

// Has a hard limit: allowed and noted in one step, before it is done.
app.post('/export', async ({ token }, response) => {
  await sdk.consume(token, 'export');
  response.json({ file: '/files/1' });
});

app.use((error, request, response, next) => {
  if (error instanceof QuotaExceededError) {
    const { resetsAt, upgradeUrl } = error.denial ?? {};
    return response.status(429).json({ error: error.code, resetsAt, upgradeUrl });
  }
  if (ErrorHandler.refusesUser(error)) return response.status(401).json({ error: error.code });
  if (ErrorHandler.isRetryable(error)) return response.status(503).json({ error: error.code });
  next(error);
});

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`http://localhost:${server.address().port}/`);
});
