/** What a backend's core asks for besides: the key that has replaced its own, and files. */
import { Bridge } from './bridge.js';
import type { BackendCore } from './core.js';
import type { AppendFile, SpoolFiles } from './platform.js';

export class BackendBridge extends Bridge<BackendCore> {
  #files: SpoolFiles | undefined;

  protected override abandon(): void {
    this.#files?.abandon();
    this.#files = undefined;
  }

  /** @internal */
  provideKey(question: number): void {
    const tellIt = this.whoAsks();
    const tell = (key: unknown): void => {
      const known = typeof key === 'string' ? key : undefined;
      tellIt((core) => core.provided(question, known));
    };
    const provider = this.around.secretKeyProvider ?? (() => Promise.resolve(undefined));
    // Not from within the core: the program's own code runs.
    void Promise.resolve()
      .then(provider)
      .then(tell, () => tell(undefined));
  }

  /** @internal */
  files(): object | undefined {
    const files = (this.#files ??= this.around.platform.files());
    return files === undefined ? undefined : this.#filesOf(files);
  }

  #filesOf(files: SpoolFiles): object {
    const synced = (question: number, code: string | undefined): void =>
      this.tell((core) => core.synced(question, code));
    return {
      createDir: (dir: string) => files.createDir(dir),
      list: (dir: string) => files.list(dir),
      readAt: (file: string, offset: number, length: number) => files.readAt(file, offset, length),
      truncate: (file: string, length: number) => files.truncate(file, length),
      replace: (file: string, content: Uint8Array) => files.replace(file, content),
      remove: (path: string) => files.remove(path),
      lock: (file: string) => files.lock(file),
      appendTo: (path: string) => {
        const file: AppendFile = files.appendTo(path);
        return {
          append: (bytes: Uint8Array) => file.append(bytes),
          sync: (question: number) => file.sync((code) => synced(question, code)),
          close: () => file.close(),
        };
      },
    };
  }

  /** @internal */
  stateDir(): string | undefined {
    return this.around.platform.stateDir();
  }
}
