/**
 * The spool's files on this machine's disk. Appending is synchronous, so that an event is written when it
 * is acknowledged; syncing is not.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { AppendFile, Lock, SpoolFiles } from '../platform.js';
import { OwnerFile } from './lock.js';

export class NodeFiles implements SpoolFiles {
  readonly #open = new Set<AppendFile | OwnerFile>();

  createDir(dir: string): void {
    const first = fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let made = dir; made.length >= first.length; made = path.dirname(made)) syncName(made);
  }

  list(dir: string): string[] {
    try {
      return fs.readdirSync(dir);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  appendTo(file: string): AppendFile {
    const fd = fs.openSync(file, 'a', 0o600);
    let isNamed = false;
    let syncing = 0;
    let isOpen = true;
    // A descriptor that is being synced must not be closed: another file may get its number.
    const closeIfIdle = (): void => {
      if (!isOpen && syncing === 0) fs.closeSync(fd);
    };
    const appending: AppendFile = {
      append: (bytes) => {
        for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at);
      },
      sync: (done) => {
        syncing += 1;
        fs.fdatasync(fd, (error) => {
          let code = codeOf(error);
          if (code === undefined && !isNamed) {
            try {
              syncName(file);
              isNamed = true;
            } catch (unsynced) {
              code = codeOf(unsynced) ?? 'EIO';
            }
          }
          syncing -= 1;
          closeIfIdle();
          done(code);
        });
      },
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#open.delete(appending);
        closeIfIdle();
      },
    };
    this.#open.add(appending);
    return appending;
  }

  readAt(file: string, offset: number, length: number): Uint8Array {
    checkIsFile(file);
    const fd = fs.openSync(file, 'r');
    try {
      const size = Math.max(0, fs.fstatSync(fd).size - offset);
      const content = new Uint8Array(Math.min(length, size));
      let read = 0;
      while (read < content.length) {
        const some = fs.readSync(fd, content, read, content.length - read, offset + read);
        if (some === 0) break;
        read += some;
      }
      return content.subarray(0, read);
    } finally {
      fs.closeSync(fd);
    }
  }

  truncate(file: string, length: number): void {
    const fd = fs.openSync(file, 'r+');
    try {
      fs.ftruncateSync(fd, length);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  }

  replace(file: string, content: Uint8Array): void {
    const draft = path.join(path.dirname(file), `${path.parse(file).name}.new`);
    try {
      // Not through a link that somebody has left in its place.
      fs.rmSync(draft, { force: true });
      writeWhole(draft, content);
      fs.renameSync(draft, file);
    } catch (error) {
      fs.rmSync(draft, { force: true });
      throw error;
    }
    syncName(file);
  }

  remove(target: string): void {
    fs.rmSync(target, { recursive: true, force: true });
  }

  lock(file: string): Lock | undefined {
    checkIsFile(file);
    const owner = OwnerFile.take(file, () => this.#open.delete(owner as OwnerFile));
    if (owner !== undefined) this.#open.add(owner);
    return owner;
  }

  abandon(): void {
    for (const open of this.#open) {
      if (open instanceof OwnerFile) open.release();
      else open.close();
    }
    this.#open.clear();
  }
}

/** Writes a file that isn't there yet, for its owner's eyes only, and down to the disk. */
export function writeWhole(file: string, content: Uint8Array | string): void {
  const fd = fs.openSync(file, 'wx', 0o600);
  try {
    fs.writeFileSync(fd, content);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** A name lives in its folder: without this what it names may be gone after a power loss. */
function syncName(file: string): void {
  if (process.platform === 'win32') return;
  const fd = fs.openSync(path.dirname(file), 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Opening a pipe that somebody has put here would wait for another that opens it, too. */
function checkIsFile(file: string): void {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isFile()) {
    throw Object.assign(new Error('it is not a file'), { code: 'EINVAL' });
  }
}

export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  return 'code' in error && typeof error.code === 'string' ? error.code : 'EIO';
}
