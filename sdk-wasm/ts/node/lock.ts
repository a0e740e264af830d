/**
 * Who owns a log, where there is no file lock: Node has none. An owner file says which process it is, and
 * its time of change that the process lives.
 *
 * A process of this machine is alive if its id is, with the same beginning; another machine's if its file
 * was touched within a minute. Who is taken for dead and isn't finds out by `isHeld`, and by the
 * marketplace: the log's epoch has grown, so that nothing is counted twice.
 */
import fs from 'node:fs';
import os from 'node:os';
import { threadId } from 'node:worker_threads';
import type { Lock } from '../platform.js';
import { isMissing, writeWhole } from './files.js';

/** How often an owner says that it lives, in milliseconds. */
const BEAT_EVERY = 5_000;

/** After how long without a word an owner that can't be looked up is taken for dead, in milliseconds. */
const DEAD_AFTER = 60_000;

/** How long taking a log over may last, in milliseconds: it is a few calls of the system. */
const TAKEOVER_WITHIN = 10_000;

interface Owner {
  machine: string;
  process: number;
  /** When the process began, by the system's clock, where it tells: ids are used again. */
  began: string;
  thread: number;
  /** Which lock of the process it is. */
  lock: number;
}

let locks = 0;
const held = new Set<string>();

export class OwnerFile implements Lock {
  readonly #file: string;
  readonly #fd: number;
  readonly #inode: bigint;
  readonly #beat: NodeJS.Timeout;
  readonly #released: () => void;
  #isReleased = false;

  private constructor(file: string, released: () => void) {
    this.#file = file;
    this.#released = released;
    this.#fd = fs.openSync(file, 'r+');
    this.#inode = fs.fstatSync(this.#fd, { bigint: true }).ino;
    this.#beat = setInterval(() => this.#touch(), BEAT_EVERY);
    this.#beat.unref();
    held.add(file);
  }

  /** Takes the lock, unless somebody who is alive has it. */
  static take(file: string, released: () => void): OwnerFile | undefined {
    const ours = JSON.stringify(ourselves());
    try {
      writeWhole(file, ours);
      return new OwnerFile(file, released);
    } catch (error) {
      if (!isTaken(error)) throw error;
    }
    return takeOver(file, ours) ? new OwnerFile(file, released) : undefined;
  }

  isHeld(): boolean {
    if (this.#isReleased) return false;
    try {
      const there = fs.statSync(this.#file, { bigint: true, throwIfNoEntry: false });
      return there?.ino === this.#inode;
    } catch {
      return false;
    }
  }

  release(): void {
    if (this.#isReleased) return;
    const isOurs = this.isHeld();
    this.#isReleased = true;
    held.delete(this.#file);
    clearInterval(this.#beat);
    try {
      if (isOurs) fs.rmSync(this.#file, { force: true });
      fs.closeSync(this.#fd);
    } catch {
      // Whoever comes next finds that we are gone.
    }
    this.#released();
  }

  #touch(): void {
    const now = new Date();
    try {
      fs.futimesSync(this.#fd, now, now);
    } catch {
      // A disk that can't be written is found out by whoever appends.
    }
  }
}

/** Puts our name in place of a dead owner's; one at a time. */
function takeOver(file: string, ours: string): boolean {
  if (!isLeft(file)) return false;
  const guard = `${file}.taking`;
  try {
    writeWhole(guard, ours);
  } catch (error) {
    if (!isTaken(error)) throw error;
    // Somebody is at it, or has died at it: then the next attempt finds nobody.
    if (age(guard) > TAKEOVER_WITHIN) fs.rmSync(guard, { force: true });
    return false;
  }
  if (!isLeft(file)) {
    fs.rmSync(guard, { force: true });
    return false;
  }
  fs.renameSync(guard, file);
  return true;
}

/** Whether nobody who is alive owns it. */
function isLeft(file: string): boolean {
  let owner: Partial<Owner>;
  try {
    owner = JSON.parse(fs.readFileSync(file, 'utf8')) as Partial<Owner>;
  } catch (error) {
    if (isMissing(error)) return true;
    // Somebody is writing it, or died writing it. An empty file is also what another language's SDK locks.
    return age(file) > DEAD_AFTER;
  }
  const we = ourselves();
  if (owner.machine !== we.machine || typeof owner.process !== 'number') {
    return age(file) > DEAD_AFTER;
  }
  if (owner.process === we.process && owner.began === we.began) {
    return owner.thread === we.thread ? !held.has(file) : age(file) > DEAD_AFTER;
  }
  return !isAlive(owner.process) || owner.began !== beginningOf(owner.process);
}

function ourselves(): Owner {
  locks += 1;
  return {
    machine: machine(),
    process: process.pid,
    began: beginningOf(process.pid),
    thread: threadId,
    lock: locks,
  };
}

/** The machine, and on Linux the namespace that process ids are of: a container has its own. */
function machine(): string {
  try {
    return `${os.hostname()} ${fs.readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return os.hostname();
  }
}

function isAlive(process_id: number): boolean {
  try {
    process.kill(process_id, 0);
    return true;
  } catch (error) {
    // It is somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** When a process began, in ticks since the machine did (proc(5), field 22); empty where nobody tells. */
function beginningOf(process_id: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${process_id}/stat`, 'utf8');
    // The name, which comes second, may have spaces and brackets.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function age(file: string): number {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? 0 : Date.now() - stat.mtimeMs;
}

function isTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST';
}
