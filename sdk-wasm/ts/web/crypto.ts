/** Signatures, by WebCrypto. */

/** How many of the marketplace's keys are kept ready: it publishes a few at a time. */
const MAX_KEYS = 16;

const keys = new Map<string, Promise<CryptoKey>>();

/** Whether an Ed25519 signature is good. Chrome has it from 137 on, Firefox from 129, Safari from 17. */
export async function verifyEd25519(
  key: Uint8Array,
  data: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  // What is handed in is the core's memory, which may change while we wait.
  const [signed, by] = [data.slice(), signature.slice()];
  const imported = await keyOf(key.slice());
  return crypto.subtle.verify('Ed25519', imported, by, signed);
}

function keyOf(bytes: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  const name = bytes.join();
  const known = keys.get(name);
  if (known !== undefined) return known;
  if (keys.size >= MAX_KEYS) keys.clear();
  const key = crypto.subtle.importKey('raw', bytes, 'Ed25519', false, ['verify']);
  keys.set(name, key);
  // What is no key now may be one when the page has WebCrypto.
  key.catch(() => keys.delete(name));
  return key;
}
