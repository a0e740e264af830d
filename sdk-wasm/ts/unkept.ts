/** Usage that waits in memory alone: what a program loses when its core fails. */
import type { Emitter } from './events.js';

export class Unkept {
  #isInMemory: boolean;
  #waiting = 0;

  constructor(emitter: Emitter, isInMemory: boolean) {
    this.#isInMemory = isInMemory;
    const less = (count: number): void => {
      this.#waiting = Math.max(0, this.#waiting - count);
    };
    emitter.on('usageDelivered', ({ count }) => less(count));
    emitter.on('usageDropped', ({ count }) => less(count));
    emitter.on('usageRejected', () => less(1));
    // What was noted before is where it was.
    emitter.on('spoolInMemory', () => {
      this.#isInMemory = true;
      this.#waiting = 0;
    });
  }

  /** An event was noted. */
  noted(): void {
    this.#waiting += 1;
  }

  /** How many events are lost with the core. */
  lost(): number {
    const lost = this.#isInMemory ? this.#waiting : 0;
    this.#waiting = 0;
    return lost;
  }
}
