// The attacks on tokens, played against the Node face: it takes the good one and none of the others.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';

const file = path.join(process.env.CLOUDNESTLE_CONFORMANCE, 'jwt/attacks.json');
const { attacks, good, issuer, jwks, solution } = JSON.parse(readFileSync(file, 'utf8'));

/** A marketplace that publishes its keys, and answers nothing else. */
const fetch = async (input) =>
  new URL(input).pathname === '/.well-known/jwks.json'
    ? Response.json(jwks)
    : new Response('{"code":"not_found"}', { status: 404 });

for (const validation of ['local', 'connected']) {
  test(`no forged token is taken, ${validation}`, async () => {
    const sdk = new MarketplaceSDK({
      url: issuer,
      solution,
      secretKey: 'cnsk_test_0123456789',
      spool: 'memory',
      validation,
      fetch,
    });
    // Who the good one speaks for, its signature says; whether it was revoked, here nobody.
    await sdk.trackUsage(good, 'search');
    if (validation === 'local') assert.equal((await sdk.validateUser(good)).customerId, 'cus_ravi');
    assert.ok(attacks.length > 350);
    const taken = [];
    for (const { name, token } of attacks) {
      const refusal = await sdk.validateUser(token).catch((error) => error);
      if (refusal.refusesUser !== true) taken.push(name);
      // Nor may anything be counted in its name.
      const tracked = await sdk.trackUsage(token, 'search').catch((error) => error);
      if (!(tracked instanceof Error)) taken.push(`usage: ${name}`);
    }
    assert.deepEqual(taken, []);
    assert.equal(sdk.stats().usage.tracked, 1);
    sdk[Symbol.dispose]();
  });
}
