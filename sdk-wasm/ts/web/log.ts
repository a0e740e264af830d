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
  /** Up to here something that was refused may have been removed; absent if nothing was. */
  readonly forgotten?: number;
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
  #waiting: (() => void) | undefined;
  /** Another tab has changed something, and nobody has been told. */
  #isNews = false;
  /** Whose it was: if it is not any more, somebody has cleared it, and its numbers must not be given anew. */
  #begun: string | undefined;
  #isClosed = false;

  constructor(name: string, producer: string) {
    this.#name = name;
    this.#producer = producer;
    this.#tabs = new BroadcastChannel(`${DATABASE}/${name}`);
    this.#tabs.onmessage = () => this.#tell();
  }

  append(records: readonly string[], skip: number): Promise<number> {
    // Who has waited for this is told that it is kept.
    return this.#change('strict', async (stores, head) => {
      const next = head.last + skip + 1;
      records.forEach((record, index) => stores(RECORDS).add(record, [this.#name, next + index]));
      const last = head.last + skip + records.length;
      stores(LOGS).put({ ...head, last } satisfies Head, this.#name);
      return records.length === 0 ? last : next;
    });
  }

  read(after: number, records: number, bytes: number): Promise<RecordsRead> {
    return this.#transact('relaxed', async (stores, head) => {
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
        forgotten: head.forgotten ?? 0,
        numbers: numbersOf(numbers).subarray(0, some),
        records: (texts as string[]).slice(0, some),
        refusedNumbers: numbersOf(refusedNumbers),
        refused: refused as string[],
      };
    });
  }

  async settle(through: number, numbers: Float64Array, refused: readonly string[]): Promise<void> {
    await this.#change('relaxed', async (stores, head) => {
      const answered = Math.max(head.answered, through);
      const marked = { ...head, answered } satisfies Head;
      stores(LOGS).put(marked, this.#name);
      stores(RECORDS).delete(this.#upTo(through));
      numbers.forEach((number, index) => stores(REFUSED).put(refused[index], [this.#name, number]));
      if (refused.length === 0) return;
      const kept = await done(stores(REFUSED).count(this.#upTo(Infinity)));
      if (kept <= MAX_REFUSED) return;
      const oldest = this.#upTo(Infinity);
      const keys = await done(stores(REFUSED).getAllKeys(oldest, kept - MAX_REFUSED));
      this.#forget(stores, marked, numbersOf(keys));
    });
  }

  async reopen(fence: number): Promise<void> {
    await this.#change('relaxed', async (stores, head) => {
      const answered = Math.min(head.answered, fence);
      stores(LOGS).put({ ...head, answered } satisfies Head, this.#name);
    });
  }

  async remove(through: number): Promise<void> {
    await this.#transact('relaxed', async (stores) => {
      stores(RECORDS).delete(this.#upTo(through));
    });
  }

  async forget(numbers: Float64Array): Promise<void> {
    await this.#transact('relaxed', async (stores, head) => this.#forget(stores, head, numbers));
  }

  /** Others that have not read it yet must not take what is gone for counted. */
  #forget(stores: Stores, head: Head, numbers: Float64Array): void {
    numbers.forEach((number) => stores(REFUSED).delete([this.#name, number]));
    const forgotten = Math.max(head.forgotten ?? 0, ...numbers);
    stores(LOGS).put({ ...head, forgotten } satisfies Head, this.#name);
  }

  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      if (this.#isNews) this.#tell();
    });
  }

  ignore(): void {
    this.#waiting = undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#tabs.close();
    this.ignore();
  }

  #tell(): void {
    this.#isNews = this.#waiting === undefined;
    this.#waiting?.();
    this.ignore();
  }

  /** As it is; it begins with whoever comes first. */
  async #head(stores: Stores): Promise<Head> {
    const known = (await done(stores(LOGS).get(this.#name))) as Head | undefined;
    // By another log's numbers an event would go by another's name.
    if (this.#begun !== undefined && known?.producer !== this.#begun) {
      throw new Error('what was kept here was cleared');
    }
    const head = known ?? { producer: this.#producer, answered: 0, last: 0 };
    if (known === undefined) stores(LOGS).put(head, this.#name);
    return head;
  }

  /** Does something that other tabs are to know of. */
  async #change<T>(durability: IDBTransactionDurability, work: WorkOn<T>): Promise<T> {
    const result = await this.#transact(durability, work);
    if (!this.#isClosed) this.#tabs.postMessage(null);
    return result;
  }

  async #transact<T>(durability: IDBTransactionDurability, work: WorkOn<T>): Promise<T> {
    const [producer, result] = await transact(durability, async (stores) => {
      const head = await this.#head(stores);
      return [head.producer, await work(stores, head)] as const;
    });
    this.#begun = producer;
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
/** On a log that is as it was found. */
type WorkOn<T> = (stores: Stores, head: Head) => Promise<T>;

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
