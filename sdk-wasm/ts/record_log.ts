/** A log of records as the core asks for it: under numbers (`src/js.rs` has the words). */
import type { RecordLog } from './platform.js';
import { wordsOf } from './words.js';

/** What a core is told of its log. */
export interface Told {
  logged(question: number, first: number): void;
  log_read(
    question: number,
    producer: string,
    marks: Float64Array,
    numbers: Float64Array,
    records: string[],
    refused_numbers: Float64Array,
    refused: string[],
  ): void;
  log_refused(question: number, full: boolean, words: string): void;
}

/** The log, for the core that `tell` tells what came of what it asked. */
export function askedOf(
  log: RecordLog,
  tell: (word: (core: Told) => void) => void,
  close: () => void,
): object {
  const answered = <T>(
    question: number,
    work: Promise<T>,
    answer: (core: Told, value: T) => void,
  ): void => {
    const refused = (error: unknown): void => {
      const isFull = error instanceof Error && error.name === 'QuotaExceededError';
      tell((core) => core.log_refused(question, isFull, wordsOf(error)));
    };
    void work.then((value) => tell((core) => answer(core, value)), refused);
  };
  const logged = (question: number, work: Promise<number | void>): void =>
    answered(question, work, (core, first) => core.logged(question, first ?? 0));
  return {
    append: (question: number, records: string[], skip: number) =>
      logged(question, log.append(records, skip)),
    read: (question: number, after: number, records: number, bytes: number) =>
      answered(question, log.read(after, records, bytes), (core, read) => {
        const marks = Float64Array.of(read.answered, read.last, read.forgotten);
        const { producer, numbers, refusedNumbers } = read;
        const [texts, refused] = [[...read.records], [...read.refused]];
        core.log_read(question, producer, marks, numbers, texts, refusedNumbers, refused);
      }),
    settle: (question: number, through: number, numbers: Float64Array, refused: string[]) =>
      logged(question, log.settle(through, numbers, refused)),
    reopen: (question: number, fence: number) => logged(question, log.reopen(fence)),
    remove: (question: number, through: number) => logged(question, log.remove(through)),
    forget: (question: number, numbers: Float64Array) => logged(question, log.forget(numbers)),
    changed: (question: number) => logged(question, log.changed()),
    ignore: () => log.ignore(),
    close,
  };
}
