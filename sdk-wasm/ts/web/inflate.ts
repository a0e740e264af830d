/**
 * Inflates (RFC 1951) what the package has deflated itself: the module, which is text in a bundle. A browser's own way is
 * asynchronous, and building an SDK is not; a library of others is three times as large.
 */

/** Codes have at most so many bits: a table has all that may follow. */
const LONGEST = 15;

/** In which order the lengths of the codes for lengths come. */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** What is deflated, and how long it is when it is inflated. */
export function inflate(deflated: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const inflated = new Uint8Array(length);
  let [from, to, held, bits] = [0, 0, 0, 0];

  const hold = (many: number): void => {
    // Behind the end are zeros: a table looks further than there is something.
    for (; bits < many; bits += 8) held |= (deflated[from++] ?? 0) << bits;
  };
  const drop = (many: number): void => {
    held >>>= many;
    bits -= many;
  };
  const take = (many: number): number => {
    hold(many);
    const taken = held & ((1 << many) - 1);
    drop(many);
    return taken;
  };
  const symbol = (table: Uint16Array): number => {
    hold(LONGEST);
    const entry = table[held & ((1 << LONGEST) - 1)] as number;
    drop(entry & 15);
    return entry >> 4;
  };

  const damaged = (): Error => new Error('The package is damaged.');

  for (let isLast = 0; isLast === 0;) {
    if (from > deflated.length + 4) throw damaged();
    isLast = take(1);
    const kind = take(2);
    if (kind === 0) {
      from -= bits >> 3;
      held = bits = 0;
      const many = take(16);
      from += 2; // the same once more, turned over
      inflated.set(deflated.subarray(from, from + many), to);
      from += many;
      to += many;
      continue;
    }
    const lengths: number[] = [];
    const add = (many: number, length: number): void => {
      for (let at = 0; at < many; at += 1) lengths.push(length);
    };
    let literals = 288;
    if (kind === 1) {
      add(144, 8);
      add(112, 9);
      add(24, 7);
      add(8, 8);
      add(30, 5);
    } else {
      literals = take(5) + 257;
      const all = literals + take(5) + 1;
      const ofLengths: number[] = Array(19).fill(0);
      for (let many = take(4) + 4, at = 0; at < many; at += 1) ofLengths[ORDER[at] ?? 0] = take(3);
      const table = tableOf(ofLengths);
      while (lengths.length < all) {
        const length = symbol(table);
        if (length < 16) lengths.push(length);
        else if (length === 16) add(take(2) + 3, lengths.at(-1) ?? 0);
        else add(length === 17 ? take(3) + 3 : take(7) + 11, 0);
      }
    }
    const [ofLiterals, ofDistances] = [
      tableOf(lengths.slice(0, literals)),
      tableOf(lengths.slice(literals)),
    ];
    for (;;) {
      const what = symbol(ofLiterals);
      if (what === 256) break;
      if (to > length) throw damaged();
      if (what < 256) {
        inflated[to++] = what;
        continue;
      }
      const step = what - 257;
      const more = (step >> 2) - 1;
      const many =
        step === 28 ? 258 : step < 4 ? step + 3 : ((4 + (step & 3)) << more) + 3 + take(more);
      const far = symbol(ofDistances);
      const further = (far >> 1) - 1;
      const back = far < 2 ? far + 1 : ((2 + (far & 1)) << further) + 1 + take(further);
      for (const end = to + many; to < end; to += 1) inflated[to] = inflated[to - back] as number;
    }
  }
  if (to !== length) throw damaged();
  return inflated;
}

/** For whatever follows, the symbol whose code it begins with, and that code's length, by the lengths of all codes. */
function tableOf(lengths: readonly number[]): Uint16Array {
  const table = new Uint16Array(1 << LONGEST);
  for (let length = 1, code = 0; length <= LONGEST; length += 1, code <<= 1) {
    lengths.forEach((of, symbol) => {
      if (of !== length) return;
      let turned = 0;
      for (let bit = 0; bit < length; bit += 1) turned |= ((code >> bit) & 1) << (length - 1 - bit);
      for (; turned < table.length; turned += 1 << length) table[turned] = (symbol << 4) | length;
      code += 1;
    });
  }
  return table;
}
