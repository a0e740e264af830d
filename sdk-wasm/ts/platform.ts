/**
 * What differs between Node, browsers and edge runtimes, and nothing else. None of it may throw, except
 * what files do.
 */
import type { WaitUntil } from './delivery.js';

/** The primitives of a platform. */
export interface Platform {
  /** The settings of the environment, by name. */
  readonly environment: Readonly<Record<string, string | undefined>>;

  /** Whether an Ed25519 signature is good. A promise where the platform has no other way; it rejects where it can't tell. */
  verify(key: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean | Promise<boolean>;

  /** What requests are sent with: the program's own `fetch`, or the platform's. */
  fetchBy(own: typeof globalThis.fetch | undefined): typeof globalThis.fetch;

  /** What that is told with each request: runtimes refuse what they have no use for. */
  readonly requestInit: RequestInit;

  /** Whether usage can wait anywhere but in memory. */
  keepsUsage(): boolean;

  /** Files for the spool, where there are some. They are for one core, and close with it. */
  files(): SpoolFiles | undefined;

  /**
   * A log that the platform keeps and all programs of its user share, where there is one in place of files. It is
   * for one core.
   */
  log(name: string, producer: string): RecordLog | undefined;

  /** What this user's other programs hear, and say; `undefined` where they are no tabs of one site. */
  channel(): Channel | undefined;

  /** The folder that programs keep their state in. */
  stateDir(): string | undefined;

  /** Which process this is; 0 where there is no forking. */
  processId(): number;

  /** Lets a program end although this timer runs. */
  background(timer: unknown): void;

  /** Keeps a program from ending for as long as calls are open. */
  keepAlive(): KeepAlive;

  /** How far a request came of which no answer has begun, by what `fetch` threw. */
  stageOf(error: unknown): SendStage;

  /** What a function hands work to that goes on after its answer; `undefined` where this is no function. */
  waitUntil(): WaitUntil | undefined;

  /** Has `drain` called when the program has nothing else to do, and `leave` when it ends. */
  whenIdle(drain: Drain, leave: () => void): () => void;

  /** Has `end` called when the program is asked to end, which it then does; where nobody can ask, never. */
  whenAsked(end: () => Promise<unknown>): () => void;
}

/**
 * Delivers what waits, unless it is just so many events as were left by the last time. Resolves with how many still
 * wait.
 */
export type Drain = (left?: number) => Promise<number>;

/** Whether calls are open. Nothing is counted here: with a full stack a word may be lost, and the next puts it right. */
export interface KeepAlive {
  /** A call is open. */
  open(): void;
  /** None is, any more. */
  done(): void;
}

/** How far a request came: `stale` is a kept connection that turned out to be closed. */
export type SendStage = 'lookup' | 'connect' | 'stale' | 'answer';

/** The file operations of the spool; what they throw has Node's `code`. */
export interface SpoolFiles {
  createDir(dir: string): void;
  list(dir: string): string[];
  appendTo(file: string): AppendFile;
  readAt(file: string, offset: number, length: number): Uint8Array;
  truncate(file: string, length: number): void;
  replace(file: string, content: Uint8Array): void;
  remove(path: string): void;
  lock(file: string): Lock | undefined;
  /** Closes what is open and gives back what is locked: its core is gone. */
  abandon(): void;
}

/**
 * Records that wait, with the numbers that they are given. Each operation is done as a whole or, if it rejects, not
 * at all.
 */
export interface RecordLog {
  /** Gives records the numbers behind the last one and `skip` more; the first of them. It is kept when this resolves. */
  append(records: readonly string[], skip: number): Promise<number>;
  /** The oldest records, so many and about so long, and what was refused above a number. */
  read(after: number, records: number, bytes: number): Promise<RecordsRead>;
  /** All up to a number is answered for; these of it were refused. */
  settle(through: number, numbers: Float64Array, refused: readonly string[]): Promise<void>;
  /** What is above a number is to be answered for again. */
  reopen(fence: number): Promise<void>;
  /** Removes records up to a number. */
  remove(through: number): Promise<void>;
  /** Removes what was refused under these numbers, and marks that it is not all there any more. */
  forget(numbers: Float64Array): Promise<void>;
  /** Resolves when somebody else has changed something. One waits at a time. */
  changed(): Promise<void>;
  /** Nobody waits for that any more. */
  ignore(): void;
  /** Nobody asks any more. */
  close(): void;
}

/** What is in a log. */
export interface RecordsRead {
  readonly producer: string;
  readonly answered: number;
  readonly last: number;
  /** Up to which number something that was refused may not be there any more. */
  readonly forgotten: number;
  readonly numbers: Float64Array;
  readonly records: readonly string[];
  readonly refusedNumbers: Float64Array;
  readonly refused: readonly string[];
}

/** What is said to all other programs of a user that listen now. */
export interface Channel {
  say(word: unknown): void;
  listen(hear: (word: unknown) => void): void;
  close(): void;
}

/** A file that only grows. */
export interface AppendFile {
  append(bytes: Uint8Array): void;
  /** Calls back when what was appended survives the loss of power, with the error's code if it may not. */
  sync(done: (code: string | undefined) => void): void;
  close(): void;
}

/** A lock that is held until it is released, or somebody else has taken it. */
export interface Lock {
  isHeld(): boolean;
  release(): void;
}
