/** Random bytes, drawn many at a time: a draw takes Node longer than all else that noting an event takes. */

/** How many are drawn; an event takes 10. */
const DRAWN = 4_096;

const drawn = new Uint8Array(DRAWN);
let used = DRAWN;

/** Fills with what nobody has been given before. */
export function fillRandom(bytes: Uint8Array<ArrayBuffer>): void {
  if (used + bytes.length > DRAWN) {
    if (bytes.length > DRAWN) {
      crypto.getRandomValues(bytes);
      return;
    }
    crypto.getRandomValues(drawn);
    used = 0;
  }
  bytes.set(drawn.subarray(used, used + bytes.length));
  drawn.fill(0, used, used + bytes.length);
  used += bytes.length;
}
