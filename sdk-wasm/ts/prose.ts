/**
 * What the codes of errors mean, in words. A backend has them. A page has the words of whoever answered it, and those
 * for the codes themselves if it asks for them:
 *
 * ```ts
 * import '@cloudnestle/marketplace-sdk/prose';
 * ```
 */
import { CATALOGUE } from './catalogue.js';
import { useProse } from './meaning.js';

useProse(CATALOGUE);
