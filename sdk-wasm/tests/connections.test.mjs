// Connections that are kept, and closed while nobody looks.
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { MarketplaceSDK } from '@cloudnestle/marketplace-sdk';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';

let marketplace;
before(async () => (marketplace = await startMarketplace()));
after(() => marketplace?.stop());

/** How long a call waits at most before it is tried again, in milliseconds: `sdk-core/src/http/retry.rs`. */
const LONGEST_FIRST_WAIT = 200;

/** A way to the marketplace on which connections can be ended. */
async function way() {
  const connections = new Set();
  const open = new Set();
  const server = createServer({ allowHalfOpen: true }, (incoming) => {
    const outgoing = connect(new URL(marketplace.url).port, '127.0.0.1');
    connections.add(incoming);
    open.add(incoming);
    incoming.on('data', (bytes) => connections.has(incoming) && outgoing.write(bytes));
    outgoing.on('data', (bytes) => connections.has(incoming) && incoming.write(bytes));
    for (const end of [incoming, outgoing]) end.on('error', () => undefined);
    incoming.on('close', () => outgoing.destroy());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Ends every connection; what arrives on one from now on gets no answer. */
    end() {
      for (const connection of connections) connection.end();
      connections.clear();
    },
    stop() {
      server.close();
      for (const connection of open) connection.destroy();
    },
  };
}

test('a connection that was closed while nobody looked costs no call, and no wait', async (t) => {
  const { url, end, stop } = await way();
  t.after(stop);
  const issuer = marketplace.url;
  const sdk = new MarketplaceSDK(marketplace.options({ url, issuer }));
  const { setTimeout } = globalThis;
  const waits = [];
  for (let time = 0; time < 5; time += 1) {
    assert.ok((await sdk.quotas('cus_ravi')).length > 0);
    await new Promise((resolve) => setTimeout(resolve, 20)); // the connection is put by
    end();
    globalThis.setTimeout = (work, millis) => (waits.push(millis), setTimeout(work, millis));
    try {
      // In the same turn: that it was ended is not known yet.
      assert.ok((await sdk.quotas('cus_ravi')).length > 0);
    } finally {
      globalThis.setTimeout = setTimeout;
    }
  }
  // Of 10 calls, 5 were sent once more, and none waited for that as a retry does.
  assert.equal(sdk.stats().requests, 15);
  assert.deepEqual(
    waits.filter((millis) => millis <= LONGEST_FIRST_WAIT),
    [],
  );
  await sdk.close();
});
