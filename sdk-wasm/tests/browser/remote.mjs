// An SDK in a page, for a test that runs beside the browser: its calls, as if it were here.

/** By which the package knows its errors. */
const BRAND = Symbol.for('@cloudnestle/marketplace-sdk.error');

/** What a page does for this: it holds SDKs, receipts and sources by numbers, and calls them. */
export const SCRIPT = `
const held = new Map();
let last = 0;
const hold = (value) => (held.set(++last, value), last);
const told = async (work) => {
  try {
    return { value: (await work()) ?? null };
  } catch (error) {
    if (typeof error?.toJSON !== 'function') throw error;
    return { error: { ...error.toJSON(), denial: error.denial } };
  }
};
globalThis.remote = {
  open: (options) => told(() => hold(new marketplace.MarketplaceSDK(options))),
  call: (of, method, args) => told(() => held.get(of)[method](...args)),
  get: (of, name) => told(() => held.get(of)[name]),
  track: (of, args) =>
    told(async () => {
      const receipt = await held.get(of).trackUsage(...args);
      return { id: receipt.id, held: hold(receipt) };
    }),
  source: (of, pair) => told(() => hold(held.get(of).keepFresh(pair))),
  resume: (of) =>
    told(() => {
      const source = held.get(of).resume();
      return source && hold(source);
    }),
  dispose: (of) => held.get(of)[Symbol.dispose](),
};
`;

async function asked(page, method, ...args) {
  const work = ([method, args]) => globalThis.remote[method](...args);
  const { value, error } = await page.evaluate(work, [method, args]);
  if (error === undefined) return value;
  throw Object.assign(new Error(error.message), error, { [BRAND]: true });
}

/** What a client's SDK has, by the names of its calls. */
const CALLS = [
  'validateUser',
  'getUserContext',
  'quotas',
  'refreshToken',
  'exchangeCode',
  'createVisitor',
  'flush',
  'flushBeforeReturn',
  'rejectedUsage',
  'replayRejected',
  'close',
  'stats',
];

const sourceOf = (page, source) => ({
  accessToken: () => asked(page, 'call', source, 'accessToken', []),
  replace: (refused) => asked(page, 'call', source, 'replace', [refused]),
  forget: () => asked(page, 'call', source, 'forget', []),
  get pair() {
    return asked(page, 'get', source, 'pair');
  },
});

/** Opens an SDK in the page. */
export async function open(page, options) {
  const sdk = await asked(page, 'open', options);
  const calls = CALLS.map((name) => [name, (...args) => asked(page, 'call', sdk, name, args)]);
  return {
    ...Object.fromEntries(calls),
    async trackUsage(...args) {
      const { id, held } = await asked(page, 'track', sdk, args);
      return {
        id,
        reference: () => asked(page, 'call', held, 'reference', []),
        get delivered() {
          return asked(page, 'get', held, 'delivered');
        },
        get persisted() {
          return asked(page, 'get', held, 'persisted');
        },
      };
    },
    async keepFresh(pair) {
      return sourceOf(page, await asked(page, 'source', sdk, pair));
    },
    async resume() {
      const source = await asked(page, 'resume', sdk);
      return source === null ? undefined : sourceOf(page, source);
    },
    [Symbol.dispose]: () => page.evaluate((sdk) => globalThis.remote.dispose(sdk), sdk),
  };
}
