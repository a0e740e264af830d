// The marketplace's side of a scenario.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { startMarketplace } from '@cloudnestle/marketplace-sdk/testing';
import { folder } from '../folder.mjs';

const SOLUTION = 'sol_faiss_search';

/** A key of the right form. */
const UNKNOWN_KEY = 'cnsk_test_thisIsNoKeyOfTheMarketplace00000000';

export class Server {
  static async start(given, steps) {
    const server = new Server();
    server.solution = given.solution ?? SOLUTION;
    const isRestarted = steps.some((step) => step.do === 'restart_server');
    const kept = isRestarted ? { db: folder(`${randomUUID()}.db`) } : {};
    server.marketplace = await startMarketplace(kept);
    if (given.clock) await server.marketplace.setClock(given.clock);
    return server;
  }

  stop() {
    return this.marketplace.stop();
  }

  restart() {
    return this.marketplace.restart();
  }

  /** How the SDK is set up. */
  options(given) {
    const { url, solution, secretKey } = this.marketplace.options({ solution: this.solution });
    const { publishableKey } = this.marketplace.solution(this.solution);
    const key = given.unknown_secret_key ? UNKNOWN_KEY : secretKey;
    return { url, solution, secretKey: key, publishableKey };
  }

  pair(customer, solution = SOLUTION) {
    return this.marketplace.tokenPair(customer, solution);
  }

  /** A code as a customer's browser brings it. */
  launchCode(customer, solution = SOLUTION) {
    return this.marketplace.launchCode(customer, solution);
  }

  revoke(token) {
    return this.marketplace.revokeToken(token, this.solution);
  }

  revokeUser(customer) {
    return this.marketplace.revokeUser(customer, this.solution);
  }

  resetQuota({ customer, action }) {
    return this.marketplace.resetQuota(customer, action, this.solution);
  }

  changeTier({ customer, tier }) {
    return this.marketplace.setTier(customer, tier, this.solution);
  }

  /** A customer's browser sends usage of its own; with which code it is rejected, if it is. */
  async report(token, { action, quantity = 1 }) {
    const user = await this.marketplace.call('GET', '/api/user-context', { token });
    const event = {
      id: `evt_${action}`,
      customer_id: user.customer_id,
      token_id: user.token_id,
      action,
      quantity,
      occurred_at: await this.marketplace.now(),
    };
    const answer = await this.marketplace.call('POST', '/api/track-usage', { token }, { event });
    return answer.results[0].code;
  }

  limitCalls(perSecond) {
    return this.marketplace.setRateLimit({ callers: 'key', perSecond });
  }

  rotateSigningKey() {
    return this.marketplace.rotateSigningKey();
  }

  /** A visitor registers. */
  register(token) {
    const body = { email: 'kavya@example.com', password: 'correct horse' };
    return this.marketplace.call('POST', '/api/users/convert', { token }, body);
  }

  advanceClock(millis) {
    return this.marketplace.advanceClock(millis);
  }

  async turnClockBack(millis) {
    const now = await this.marketplace.now();
    await this.marketplace.setClock(new Date(now.getTime() - millis));
  }

  outage(on) {
    return this.marketplace.setOutage(on);
  }

  async plan(plan) {
    // As the scenario has it, in the words of the wire.
    for (const fault of plan) await this.marketplace.call('POST', '/mock/faults', 'control', fault);
  }

  /** What the scenario says of the server in the end. A fault plan must be used up. */
  async mustHaveSeen({ saw = {}, used = {} }) {
    assert.deepEqual(await this.marketplace.faultsLeft(), [], 'the fault plan was not used up');
    const entries = await this.marketplace.journal();
    for (const [operation, times] of Object.entries(saw)) {
      const seen = entries.filter((entry) => entry.operation === operation).length;
      assert.equal(seen, times, `the server saw ${operation} ${seen} times, not ${times}`);
    }
    for (const [customer, actions] of Object.entries(used)) {
      const quotas = await this.marketplace.quotas(customer, this.solution);
      for (const [action, much] of Object.entries(actions)) {
        const quota = quotas.find((known) => known.action === action);
        // What has no limit has no quota either.
        const used = quota?.used ?? (await this.marketplace.used(customer, action, this.solution));
        assert.equal(used, much, `${customer} used ${action} ${used}, not ${much}`);
      }
    }
  }
}
