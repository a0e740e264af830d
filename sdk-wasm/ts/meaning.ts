/** Where the words for the codes of errors are, if the program has them. */
import type { CATALOGUE, Code } from './catalogue.js';

/** Two copies of this package may be loaded, as a module and by `require`, and the words by themselves. */
const PROSE = Symbol.for('@cloudnestle/marketplace-sdk.prose');

/** What a code means. */
type Meaning = (typeof CATALOGUE)[Code];

const here = globalThis as { [PROSE]?: Readonly<Record<string, Meaning>> };

/** The words of the catalogue are these. @internal */
export function useProse(catalogue: typeof CATALOGUE): void {
  here[PROSE] = catalogue;
}

/** What a code means, if the program has the words. @internal */
export function meaningOf(code: Code): Meaning | undefined {
  return here[PROSE]?.[code];
}
