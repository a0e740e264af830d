/** Whoever holds a value no more is noticed, where the runtime notices. */

interface Noticing<T> {
  register(value: object, kept: T): void;
}

/**
 * Has `forget` called with what belongs to a value that nobody holds any more. Some edge runtimes have no
 * word for that; what is kept there ends with its SDK.
 */
export function whenForgotten<T>(forget: (kept: T) => void): Noticing<T> {
  if (typeof FinalizationRegistry === 'undefined') return { register: () => undefined };
  return new FinalizationRegistry(forget);
}
