/** Names of the wire and names of JavaScript: `customer_id` and `customerId`. */

/** What JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** What is a program's own, name by name. */
const VERBATIM = 'metadata';

/** With JavaScript's names. */
export function camelized(value: Json): Json {
  return renamed(value, (name) =>
    name.replace(/_([a-z0-9])/g, (_, first: string) => first.toUpperCase()),
  );
}

/** With the wire's names. */
export function snaked(value: Json): Json {
  return renamed(value, (name) => name.replace(/[A-Z]/g, (big) => `_${big.toLowerCase()}`));
}

function renamed(value: Json, rename: (name: string) => string): Json {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
  if (typeof value !== 'object' || value === null) return value;
  const named: { [name: string]: Json } = {};
  for (const [name, inner] of Object.entries(value)) {
    named[rename(name)] = name === VERBATIM ? inner : renamed(inner, rename);
  }
  return named;
}
