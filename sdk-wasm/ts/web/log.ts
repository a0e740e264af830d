/**
 * Usage that waits, in IndexedDB: one log for each customer, shared by all tabs of the site.
 *
 * What one call does is done in one transaction, all or nothing; a record's number is given in it, so that two
 * tabs never give the same one. Nothing is locked beyond that, and a tab that dies leaves nothing half done.
 */
import type { RecordLog, RecordsRead } from '../platform.js';

const DATABASE = 'cloudnestle-marketplace';

/** The form of what is kept; another form has another number. */
const VERSION = 1;

/** How many refused events a log keeps, the newest. */
const MAX_REFUSED = 1_000;

/** By the log's name. */
const LOGS = 'logs';
/** By the log's name and the record's number. */
const RECORDS = 'records';
/** By the log's name and the event's number. */
const REFUSED = 'refused';
const STORES = [LOGS, RECORDS, REFUSED];

/** What is known of a log. */
interface Head {
  readonly producer: string;
  /** The marketplace has answered for all up to here. */
  readonly answered: number;
  /** The last number that was given: never given again, though its record may be gone. */
  readonly last: number;
}

/** The log of that name; `undefined` where there is no IndexedDB. */
export function indexedLog(name: string, producer: string): RecordLog | undefined {
  try {
    // Pages that may keep nothing have none, or may not even ask.
    return typeof indexedDB === 'undefined' ? undefined : new IndexedLog(name, producer);
  } catch {
    return undefined;
  }
}

class IndexedLog implements RecordLog {
  readonly #name: string;
  readonly #producer: string;
  readonly #tabs: BroadcastChannel;
  readonly #waiting: (() => void)[] = [];
  /** Another tab has changed something, and nobody has been told. */
  #isNews = false;
  /** It was there: if it is not any more, somebody has cleared it, and its numbers must not be given anew. */
  #hasBegun = false;
  #isClosed = false;

  constructor(name: string, producer: string) {
    this.#name = name;
    this.#producer = producer;
    this.#tabs = new BroadcastChannel(`${DATABASE}/${name}`);
    this.#tabs.onmessage = () => this.#tell();
  }

  append(records: readonly string[], skip: number): Promise<number> {
    // Who has waited for this is told that it is kept.
    return this.#change('strict', async (stores) => {
      const head = await this.#head(stores);
      const next = head.last + skip + 1;
      records.forEach((record, index) => stores(RECORDS).add(record, [this.#name, next + index]));
      const last = head.last + skip + records.length;
      stores(LOGS).put({ ...head, last } satisfies Head, this.#name);
      return records.length === 0 ? last : next;
    });
  }

  read(after: number, records: number, bytes: number): Promise<RecordsRead> {
    return this.#transact('relaxed', async (stores) => {
      const head = await this.#head(stores);
      const all = this.#upTo(Infinity);
      const [numbers, texts, refusedNumbers, refused] = await Promise.all([
        done(stores(RECORDS).getAllKeys(all, records)),
        done(stores(RECORDS).getAll(all, records)),
        done(stores(REFUSED).getAllKeys(this.#above(after))),
        done(stores(REFUSED).getAll(this.#above(after))),
      ]);
      const some = within(texts as string[], bytes);
      return {
        producer: head.producer,
        answered: head.answered,
        last: head.last,
        numbers: numbersOf(numbers).subarray(0, some),
        records: (texts as string[]).slice(0, some),
        refusedNumbers: numbersOf(refusedNumbers),
        refused: refused as string[],
      };
    });
  }

  async settle(through: number, numbers: Float64Array, refused: readonly string[]): Promise<void> {
    await this.#change('relaxed', async (stores) => {
      const head = await this.#head(stores);
      const answered = Math.max(head.answered, through);
      stores(LOGS).put({ ...head, answered } satisfies Head, this.#name);
      stores(RECORDS).delete(this.#upTo(through));
      numbers.forEach((number, index) => stores(REFUSED).put(refused[index], [this.#name, number]));
      if (refused.length === 0) return;
      const kept = await done(stores(REFUSED).count(this.#upTo(Infinity)));
      if (kept <= MAX_REFUSED) return;
      const oldest = this.#upTo(Infinity);
      const keys = await done(stores(REFUSED).getAllKeys(oldest, kept - MAX_REFUSED));
      const last = numbersOf(keys).at(-1);
      if (last !== undefined) stores(REFUSED).delete(this.#upTo(last));
    });
  }

  async reopen(fence: number): Promise<void> {
    await this.#change('relaxed', async (stores) => {
      const head = await this.#head(stores);
      const answered = Math.min(head.answered, fence);
      stores(LOGS).put({ ...head, answered } satisfies Head, this.#name);
    });
  }

  async remove(through: number): Promise<void> {
    await this.#transact('relaxed', async (stores) => {
      await this.#head(stores);
      stores(RECORDS).delete(this.#upTo(through));
    });
  }

  async forget(numbers: Float64Array): Promise<void> {
    await this.#transact('relaxed', async (stores) => {
      await this.#head(stores);
      numbers.forEach((number) => stores(REFUSED).delete([this.#name, number]));
    });
  }

  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#isNews) this.#tell();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#tabs.close();
    this.#waiting.length = 0;
  }

  #tell(): void {
    this.#isNews = this.#waiting.length === 0;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** As it is; it begins with whoever comes first. */
  async #head(stores: Stores): Promise<Head> {
    const known = (await done(stores(LOGS).get(this.#name))) as Head | undefined;
    if (known === undefined && this.#hasBegun) throw new Error('what was kept here was cleared');
    const head = known ?? { producer: this.#producer, answered: 0, last: 0 };
    if (known === undefined) stores(LOGS).put(head, this.#name);
    return head;
  }

  /** Does something that other tabs are to know of. */
  async #change<T>(durability: IDBTransactionDurability, work: Work<T>): Promise<T> {
    const result = await this.#transact(durability, work);
    if (!this.#isClosed) this.#tabs.postMessage(null);
    return result;
  }

  async #transact<T>(durability: IDBTransactionDurability, work: Work<T>): Promise<T> {
    const result = await transact(durability, work);
    this.#hasBegun = true;
    return result;
  }

  #upTo(number: number): IDBKeyRange {
    return IDBKeyRange.bound([this.#name, -Infinity], [this.#name, number]);
  }

  #above(number: number): IDBKeyRange {
    return IDBKeyRange.bound([this.#name, number], [this.#name, Infinity], true);
  }
}

type Stores = (name: string) => IDBObjectStore;
type Work<T> = (stores: Stores) => Promise<T>;

/** All of the work, or none of it: resolves when it is committed. */
async function transact<T>(durability: IDBTransactionDurability, work: Work<T>): Promise<T> {
  const transaction = await begun(durability);
  const committed = new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the browser gave it up'));
  });
  // Whoever looks at the work's own error first leaves this one alone.
  committed.catch(() => undefined);
  let result: T;
  try {
    result = await work((name) => transaction.objectStore(name));
  } catch (error) {
    if (transaction.error === null) giveUp(transaction);
    throw transaction.error ?? error;
  }
  await committed;
  return result;
}

function giveUp(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // It is over.
  }
}

async function begun(durability: IDBTransactionDurability): Promise<IDBTransaction> {
  const begin = async (): Promise<IDBTransaction> =>
    (await connected()).transaction(STORES, 'readwrite', { durability });
  try {
    return await begin();
  } catch {
    // The browser has closed the connection, as it may at any time: another one is opened.
    connection = undefined;
    return begin();
  }
}

let connection: Promise<IDBDatabase> | undefined;

function connected(): Promise<IDBDatabase> {
  return (connection ??= opened());
}

async function opened(): Promise<IDBDatabase> {
  const asked = indexedDB.open(DATABASE, VERSION);
  asked.onupgradeneeded = () => STORES.forEach((name) => asked.result.createObjectStore(name));
  const database = await done(asked);
  const gone = (): void => {
    connection = undefined;
  };
  database.onclose = gone;
  // Somebody wants to clear it, or has a newer form: nobody waits for us.
  database.onversionchange = () => {
    database.close();
    gone();
  };
  return database;
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The numbers of keys. */
function numbersOf(keys: readonly IDBValidKey[]): Float64Array {
  return Float64Array.from(keys, (key) => (key as [string, number])[1]);
}

/** How many of the texts are about so long together; one at least. */
function within(texts: readonly string[], length: number): number {
  let [some, sum] = [0, 0];
  for (const text of texts) {
    sum += text.length;
    if (some > 0 && sum > length) break;
    some += 1;
  }
  return some;
}
