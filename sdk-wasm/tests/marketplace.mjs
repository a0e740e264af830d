// A marketplace of its own for each test: the binary, as `CLOUDNESTLE_MOCK_SERVER` names it.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const SOLUTION = 'sol_faiss_search';

/** A server that ends with the test. `database` is kept for `restart`. */
export class Marketplace {
  static async start({ database = false } = {}) {
    const dir = mkdtempSync(path.join(tmpdir(), 'cloudnestle-'));
    const marketplace = new Marketplace();
    marketplace.dir = dir;
    marketplace.database = database;
    await marketplace.#begin('0');
    return marketplace;
  }

  async #begin(port) {
    const ready = path.join(this.dir, 'ready.json');
    rmSync(ready, { force: true });
    const where = this.database ? ['--db', path.join(this.dir, 'marketplace.db')] : ['--memory'];
    const binary = process.env.CLOUDNESTLE_MOCK_SERVER;
    if (binary === undefined) throw new Error('CLOUDNESTLE_MOCK_SERVER names no binary');
    const args = ['--port', port, '--ready-file', ready, ...where];
    this.process = spawn(binary, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    this.ended = new Promise((resolve) => this.process.once('exit', resolve));
    for (;;) {
      try {
        this.ready = JSON.parse(readFileSync(ready, 'utf8'));
        break;
      } catch {
        if (this.process.exitCode !== null) throw new Error('the server has ended');
        await sleep(5);
      }
    }
    this.url = this.ready.url;
  }

  async stop() {
    this.process.kill();
    await this.ended;
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Ends the server and begins it again at the same place. */
  async restart() {
    this.process.kill();
    await this.ended;
    await this.#begin(new URL(this.url).port);
  }

  solution(id = SOLUTION) {
    return this.ready.solutions.find((known) => known.id === id);
  }

  /** What an SDK is set up with. */
  options(spool = 'memory') {
    const { id, secret_key: secretKey } = this.solution();
    return { url: this.url, solution: id, secretKey, spool };
  }

  /** The same, as a program finds it in its environment. */
  environment() {
    const { id, secret_key: secretKey } = this.solution();
    return {
      CLOUDNESTLE_URL: this.url,
      CLOUDNESTLE_SOLUTION: id,
      CLOUDNESTLE_SECRET_KEY: secretKey,
      CLOUDNESTLE_SPOOL_DIR: path.join(this.dir, 'spool'),
    };
  }

  async call(method, where, credential, body) {
    const headers = { authorization: `Bearer ${credential}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const init = { method, headers, redirect: 'manual' };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await fetch(this.url + where, init);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${where}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  control(method, where, body) {
    return this.call(method, `/mock${where}`, this.ready.control_token, body);
  }

  /** A pair that a customer of the built-in world is given. */
  async pair(customer, solution = SOLUTION) {
    const session = await this.control('POST', '/sessions', { customer_id: customer });
    const body = { solution_id: solution };
    const pair = await this.call('POST', '/api/generate-token', session.access_token, body);
    return {
      accessToken: pair.access_token,
      refreshToken: pair.refresh_token,
      expiresAt: pair.expires_at,
    };
  }

  async quotas(customer, solution = SOLUTION) {
    const key = this.solution(solution).secret_key;
    const { quotas } = await this.call('GET', `/api/quotas/${customer}/${solution}`, key);
    return quotas;
  }

  /** How much of an action a customer has used. */
  async used(customer, action) {
    const quotas = await this.quotas(customer);
    return quotas.find((quota) => quota.action === action)?.used;
  }

  outage(on) {
    return this.control('POST', '/outage', { on });
  }
}
