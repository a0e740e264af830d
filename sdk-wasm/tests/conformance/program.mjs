// The partner's side of a scenario: a program that uses the SDK.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isMarketplaceError } from '@cloudnestle/marketplace-sdk';

const camel = (name) => name.replace(/_([a-z])/g, (_, first) => first.toUpperCase());

/** How often the SDK reads the feed while tokens are validated, in milliseconds. */
const POLL_EVERY = 2_000;

export class Program {
  /** When the feed was read. */
  polls = [];

  static async begin(server, given, face) {
    const program = new Program();
    program.face = face;
    program.spool = mkdtempSync(path.join(tmpdir(), 'cloudnestle-spool-'));
    const { events, overflow = 'reject', durable = false } = given.spool ?? {};
    program.options = face.options({
      ...server.options(given),
      validation: given.validation ?? 'connected',
      spool: { dir: program.spool },
      spoolLimits: { overflow: camel(overflow), ...(events === undefined ? {} : { events }) },
      durability: durable ? 'durable' : 'fast',
      fetch: (url, init) => {
        if (new URL(url).pathname === '/api/revocations') program.polls.push(performance.now());
        return fetch(url, init);
      },
    });
    program.pairs = new Map();
    for (const [name, { customer, solution }] of Object.entries(given.tokens ?? {})) {
      program.pairs.set(name, await server.pair(customer, solution));
    }
    program.sdk = await face.open(program.options);
    program.texts = new Map(Object.entries(given.texts ?? {}));
    for (const [name, { customer, solution }] of Object.entries(given.codes ?? {})) {
      program.texts.set(name, await server.launchCode(customer, solution));
    }
    program.sources = new Map();
    program.events = new Map();
    return program;
  }

  async end() {
    await this.sdk[Symbol.dispose]();
    rmSync(this.spool, { recursive: true, force: true });
  }

  async requests() {
    return (await this.sdk.stats()).requests;
  }

  /** How many readings of the feed after the first `count` came because the time for them had come. */
  pollsDueSince(count) {
    const isDue = (at, index) =>
      index >= Math.max(count, 1) && at - this.polls[index - 1] >= POLL_EVERY;
    return this.polls.filter(isDue).length;
  }

  accessToken(step) {
    return this.#pair(step).accessToken;
  }

  /** Keeps a pair under the name the step gives it. */
  isGiven(step, pair) {
    assert.ok(step.keep_as, '`keep_as` is missing');
    this.pairs.set(step.keep_as, pair);
  }

  #pair(step) {
    const pair = this.pairs.get(step.token);
    assert.ok(pair, `nobody was given the token ${step.token}`);
    return pair;
  }

  #token(step) {
    const token = this.texts.get(step.token) ?? this.accessToken(step);
    return step.forged ? forged(token) : token;
  }

  #event(name) {
    const event = this.events.get(name);
    assert.ok(event, `nothing was tracked as ${name}`);
    return event;
  }

  /** Makes the call of a step, and compares what comes of it. */
  async call(step) {
    const deed = CALLS[step.do];
    assert.ok(deed, `${step.do} is not a deed of the program`);
    let answer;
    try {
      answer = await deed.call(this, step);
    } catch (error) {
      if (!isMarketplaceError(error)) throw error;
      if (step.error === undefined) throw new Error(`failed with ${error}`);
      assert.equal(error.code, step.error);
      if (step.resets_at !== undefined) {
        assert.equal(Date.parse(error.denial?.resetsAt), Date.parse(step.resets_at));
      }
      return;
    }
    if (step.error !== undefined) {
      throw new Error(`succeeded in place of failing with ${step.error}`);
    }
    assert.equal(step.resets_at, undefined);
    compare(step.answer ?? {}, answer ?? {});
  }

  token(step) {
    return this.#token(step);
  }

  pair(step) {
    return this.#pair(step);
  }

  event(name) {
    return this.#event(name);
  }

  keep(step, pair) {
    this.isGiven(step, pair);
  }
}

/** The calls of the SDK; `this` is the program. */
const CALLS = {
  async validate_user(step) {
    const token = this.token(step);
    return atOnce(step, () => this.sdk.validateUser(token), withoutAge);
  },
  async get_user_context(step) {
    const token = this.token(step);
    const context = await atOnce(step, () => this.sdk.getUserContext(token), withoutAge);
    return { ...context, ...quotasOf(context.quotas) };
  },
  async track_usage(step) {
    const token = this.token(step);
    const corrects = {};
    if (step.amends) corrects.amends = await this.event(step.amends).reference();
    if (step.voids) corrects.voids = await this.event(step.voids).reference();
    const receipt = await this.sdk.trackUsage(token, step.action, {
      ...usageOf(step),
      ...corrects,
    });
    if (step.keep_as) this.events.set(step.keep_as, receipt);
  },
  async consume(step) {
    const token = this.token(step);
    const consume = () => this.sdk.consume(token, step.action, usageOf(step));
    const consumed = await atOnce(step, consume, ({ overage }) => overage);
    if (step.keep_as) this.events.set(step.keep_as, consumed);
    return consumed;
  },
  async refresh(step) {
    const pair = this.pair(step);
    const renewed = await atOnce(
      step,
      () => this.sdk.refreshToken(pair),
      (same) => same,
    );
    assert.notDeepEqual(renewed, pair, 'the pair is the old one');
    this.pairs.set(step.keep_as ?? step.token, renewed);
  },
  async keep_fresh(step) {
    this.sources.set(step.token, await this.sdk.keepFresh(this.pair(step)));
  },
  async access_token(step) {
    const source = this.sources.get(step.token);
    await atOnce(
      step,
      () => source.accessToken(),
      (same) => same,
    );
    this.pairs.set(step.token, await source.pair);
  },
  async revoke_token(step) {
    await this.sdk.revokeToken(this.token(step));
  },
  async exchange_code(step) {
    this.keep(step, await this.sdk.exchangeCode(this.token(step)));
  },
  async create_visitor(step) {
    this.keep(step, await this.sdk.createVisitor());
  },
  async quotas(step) {
    // A backend names the customer, and a client has their token.
    return quotasOf(await this.sdk.quotas(step.customer ?? this.token(step)));
  },
  async usage_history(step) {
    const options = { ...filterOf(step), ...(step.bucket ? { bucket: step.bucket } : {}) };
    const buckets = await all(this.sdk.usageHistory(step.customer, options));
    return { quantities: buckets.map(({ quantity }) => quantity) };
  },
  async usage_events(step) {
    const events = await all(this.sdk.usageEvents(step.customer, filterOf(step)));
    return {
      counts: events.map(({ counts }) => counts),
      left: events.map(({ left }) => left ?? null),
    };
  },
  async flush() {
    await this.sdk.flush();
  },
  async flush_before_return(step) {
    return accounts(await this.sdk.flushBeforeReturn(step.millis));
  },
  async close(step) {
    return accounts((await this.sdk.close(step.millis)).usage);
  },
  async delivered(step) {
    await this.event(step.event).delivered;
  },
  async rejected_usage() {
    return { rejected: (await this.sdk.rejectedUsage()).length };
  },
  async replay_rejected() {
    return { rejected: await this.sdk.replayRejected() };
  },
  async stats() {
    return accounts((await this.sdk.stats()).usage);
  },
  async diagnose() {
    const { severity, findings } = await this.sdk.diagnose();
    return { severity, codes: findings.map(({ code }) => code).filter((code) => code !== null) };
  },
  async restart() {
    // The old one goes first: a spool has one owner.
    await this.sdk[Symbol.dispose]();
    this.sdk = await this.face.open(this.options);
  },
};

/** The call, by as many callers as the step asks for; they must all get the same. */
async function atOnce(step, call, of) {
  const callers = Array.from({ length: step.callers ?? 1 }, () => call());
  const settled = await Promise.allSettled(callers);
  const told = settled.map(({ status, value, reason }) =>
    status === 'fulfilled' ? of(value) : `${reason.code ?? reason}`,
  );
  for (const one of told) assert.deepEqual(one, told[0], 'callers got different answers');
  return callers.at(-1);
}

const withoutAge = ({ ageMs: _age, freshness: _freshness, verified: _verified, ...answer }) =>
  answer;

const usageOf = (step) => ({
  quantity: step.quantity ?? 1,
  ...(step.idempotency_key ? { idempotencyKey: step.idempotency_key } : {}),
});

const filterOf = (step) => ({
  ...(step.action ? { action: step.action } : {}),
  ...(step.page_size ? { pageSize: step.page_size } : {}),
});

async function all(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

const quotasOf = (quotas) => ({
  used: Object.fromEntries(quotas.map(({ action, used }) => [action, used])),
  remaining: Object.fromEntries(quotas.map(({ action, remaining }) => [action, remaining])),
});

const accounts = (usage) => ({ ...usage, lost: usage.lost.total });

/** The token with another signature of the same form. */
function forged(token) {
  const at = token.lastIndexOf('.') + 1;
  const first = token[at] === 'A' ? 'B' : 'A';
  return token.slice(0, at) + first + token.slice(at + 1);
}

/** What is not named may be anything. */
function compare(expected, answer) {
  for (const [name, value] of Object.entries(expected)) {
    const got = answer[camel(name)];
    if (name === 'used' || name === 'remaining') {
      for (const [action, much] of Object.entries(value)) {
        assert.equal(got[action], much, `${name} ${action}`);
      }
    } else {
      assert.deepEqual(got, value, name);
    }
  }
}
