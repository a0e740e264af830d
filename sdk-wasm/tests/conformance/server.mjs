// The marketplace's side of a scenario.
import assert from 'node:assert/strict';
import { Marketplace, SOLUTION } from '../marketplace.mjs';

/** A key of the right form. */
const UNKNOWN_KEY = 'cnsk_test_thisIsNoKeyOfTheMarketplace00000000';

export class Server {
  static async start(given, steps) {
    const server = new Server();
    server.solution = given.solution ?? SOLUTION;
    const database = steps.some((step) => step.do === 'restart_server');
    server.marketplace = await Marketplace.start({ database });
    if (given.clock) await server.#control('POST', '/clock', { set: given.clock });
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
    const { secret_key: secretKey } = this.marketplace.solution(this.solution);
    return {
      url: this.marketplace.url,
      solution: this.solution,
      secretKey: given.unknown_secret_key ? UNKNOWN_KEY : secretKey,
    };
  }

  pair(customer, solution = SOLUTION) {
    return this.marketplace.pair(customer, solution);
  }

  /** A code as a customer's browser brings it. */
  async launchCode(customer, solution = SOLUTION) {
    const session = await this.#control('POST', '/sessions', { customer_id: customer });
    const body = { solution_id: solution };
    const launch = await this.marketplace.call('POST', '/api/launches', session.access_token, body);
    return new URL(launch.redirect_url).searchParams.get('code');
  }

  revoke(token) {
    return this.#asSolution('DELETE', '/api/revoke-token', { token });
  }

  revokeUser(customer) {
    return this.#asSolution('DELETE', '/api/revoke-user', { customer_id: customer });
  }

  resetQuota({ customer, action }) {
    const reset = { customer_id: customer, solution_id: this.solution, action };
    return this.#asAdmin('POST', '/api/reset-quota', reset);
  }

  changeTier({ customer, tier }) {
    const change = { customer_id: customer, solution_id: this.solution, tier };
    return this.#asAdmin('PUT', '/api/user-tier', change);
  }

  /** A customer's browser sends usage of its own; with which code it is rejected, if it is. */
  async report(token, { action, quantity = 1 }) {
    const user = await this.marketplace.call('GET', '/api/user-context', token);
    const { now } = await this.#control('GET', '/clock');
    const event = {
      id: `evt_${action}`,
      customer_id: user.customer_id,
      token_id: user.token_id,
      action,
      quantity,
      occurred_at: now,
    };
    const answer = await this.marketplace.call('POST', '/api/track-usage', token, { event });
    return answer.results[0].code;
  }

  limitCalls(perSecond) {
    return this.#control('POST', '/rate-limits', { callers: 'key', per_second: perSecond });
  }

  rotateSigningKey() {
    return this.#control('POST', '/keys');
  }

  /** A visitor registers. */
  register(token) {
    const body = { email: 'kavya@example.com', password: 'correct horse' };
    return this.marketplace.call('POST', '/api/users/convert', token, body);
  }

  advanceClock(millis) {
    return this.#control('POST', '/clock', { advance_ms: millis });
  }

  async turnClockBack(millis) {
    const { now } = await this.#control('GET', '/clock');
    const set = new Date(Date.parse(now) - millis).toISOString();
    return this.#control('POST', '/clock', { set });
  }

  outage(on) {
    return this.marketplace.outage(on);
  }

  async plan(plan) {
    for (const fault of plan) await this.#control('POST', '/faults', fault);
  }

  /** What the scenario says of the server in the end. A fault plan must be used up. */
  async mustHaveSeen({ saw = {}, used = {} }) {
    const { left } = await this.#control('GET', '/faults');
    assert.deepEqual(left, [], 'the fault plan was not used up');
    const { entries } = await this.#control('GET', '/journal');
    for (const [operation, times] of Object.entries(saw)) {
      const seen = entries.filter((entry) => entry.operation === operation).length;
      assert.equal(seen, times, `the server saw ${operation} ${seen} times, not ${times}`);
    }
    for (const [customer, actions] of Object.entries(used)) {
      const quotas = await this.marketplace.quotas(customer, this.solution);
      for (const [action, much] of Object.entries(actions)) {
        const quota = quotas.find((known) => known.action === action);
        assert.equal(quota?.used, much, `${customer} used ${action} ${quota?.used}, not ${much}`);
      }
    }
  }

  #control(method, where, body) {
    return this.marketplace.control(method, where, body);
  }

  #asSolution(method, where, body) {
    const { secret_key: key } = this.marketplace.solution(this.solution);
    return this.marketplace.call(method, where, key, body);
  }

  #asAdmin(method, where, body) {
    return this.marketplace.call(method, where, this.marketplace.ready.admin_key, body);
  }
}
