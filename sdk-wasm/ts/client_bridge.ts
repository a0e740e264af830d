/** What a client's core asks for besides: a log that the platform keeps. */
import { Bridge } from './bridge.js';
import type { ClientCore } from './core.js';
import type { RecordLog } from './platform.js';
import { askedOf } from './record_log.js';

export class ClientBridge extends Bridge<ClientCore> {
  readonly #logs = new Set<RecordLog>();

  protected override abandon(): void {
    for (const log of this.#logs) log.close();
    this.#logs.clear();
  }

  /** @internal */
  log(name: string, producer: string): object | undefined {
    const log = this.around.platform.log(name, producer);
    if (log === undefined) return undefined;
    this.#logs.add(log);
    return askedOf(log, this.whoAsks(), () => {
      this.#logs.delete(log);
      log.close();
    });
  }
}
