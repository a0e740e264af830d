/** Names of the wire and names of JavaScript: `customer_id` and `customerId`. */

/** What JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** What is a program's own, name by name. */
const VERBATIM = 'metadata';

/** How many names are remembered: the marketplace has fewer. */
const MAX_NAMES = 1_000;

/** JavaScript's names, by the wire's. */
const known = new Map<string, string>();

/** With JavaScript's names. */
export function camelized(value: Json): Json {
  return renamed(value, camelOf);
}

function camelOf(name: string): string {
  const there = known.get(name);
  if (there !== undefined) return there;
  const camel = name.replace(/_([a-z0-9])/g, (_, first: string) => first.toUpperCase());
  if (known.size < MAX_NAMES) known.set(name, camel);
  return camel;
}

/** With the wire's names. */
export function snaked(value: Json): Json {
  return renamed(value, (name) => name.replace(/[A-Z]/g, (big) => `_${big.toLowerCase()}`));
}

function renamed(value: Json, rename: (name: string) => string): Json {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
  if (typeof value !== 'object' || value === null) return value;
  const named: { [name: string]: Json } = {};
  for (const name of Object.keys(value)) {
    const inner = value[name] as Json;
    named[rename(name)] = name === VERBATIM ? inner : renamed(inner, rename);
  }
  return named;
}
