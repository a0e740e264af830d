/** Node's primitives. */
import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import type { Drain, KeepAlive, Platform, SendStage } from '../platform.js';
import { NOTHING_OF_OTHERS } from '../web/platform.js';
import { waitUntilOfVercel } from '../web/vercel.js';
import { NodeFiles } from './files.js';

/** How many of the marketplace's keys are kept ready: it publishes a few at a time. */
const MAX_KEYS = 16;

/** What Node calls errors of a name that has no address. */
const LOOKUP = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA', 'EAI_NONAME', 'ERR_INVALID_URL']);

/** What it calls errors before there is a connection; besides, those of certificates. */
const CONNECT = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const keys = new Map<string, KeyObject>();

interface Resident {
  readonly drain: Drain;
  readonly leave: () => void;
  /** How many events could not be delivered, the last time. */
  left: number;
}

/** The SDKs of this program, which listen to its end together. */
const residents = new Set<Resident>();
let isDraining = false;

/** Called again whenever draining has kept the program alive: what can't be delivered must not do so for ever. */
function drainAll(): void {
  if (isDraining) return;
  isDraining = true;
  const drained = [...residents].map(async (resident) => {
    resident.left = await resident.drain(resident.left);
  });
  void Promise.allSettled(drained).then(() => (isDraining = false));
}

function leaveAll(): void {
  for (const resident of [...residents]) resident.leave();
}

export const node: Platform = {
  environment: process.env,

  // As it is when it is called: programs replace it.
  fetchBy: (own) => own ?? ((input, init) => globalThis.fetch(input, init)),

  requestInit: NOTHING_OF_OTHERS,

  verify(key, data, signature) {
    try {
      return verify(null, data, keyOf(key), signature);
    } catch (error) {
      return Promise.reject(error); // FIPS has no Ed25519, for one
    }
  },

  keepsUsage: () => true,

  files: () => new NodeFiles(),

  log: () => undefined,

  channel: () => undefined,

  /** Apart from that of other languages, whose locks are not Node's. */
  stateDir() {
    const { LOCALAPPDATA, XDG_STATE_HOME } = process.env;
    let home: string;
    try {
      home = os.homedir();
    } catch {
      return undefined; // a user without a home: the core says what to set
    }
    const below = (dir: string): string => path.join(dir, 'cloudnestle-node');
    if (process.platform === 'win32') {
      return below(LOCALAPPDATA || path.join(home, 'AppData', 'Local'));
    }
    if (process.platform === 'darwin') {
      return below(path.join(home, 'Library', 'Application Support'));
    }
    return below(XDG_STATE_HOME || path.join(home, '.local', 'state'));
  },

  processId: () => process.pid,

  background(timer) {
    (timer as NodeJS.Timeout).unref();
  },

  keepAlive,

  stageOf(error): SendStage {
    const code = codeBehind(error);
    if (code === undefined) return 'answer';
    if (LOOKUP.has(code)) return 'lookup';
    if (code === 'UND_ERR_SOCKET' && wasUsedBefore(error)) return 'stale';
    const isTls = code.startsWith('CERT_') || code.startsWith('ERR_TLS_') || code.includes('_CERT');
    return CONNECT.has(code) || isTls ? 'connect' : 'answer';
  },

  waitUntil: waitUntilOfVercel,

  whenIdle(drain, leave) {
    const resident = { drain, leave, left: 0 };
    residents.add(resident);
    if (residents.size === 1) process.on('beforeExit', drainAll).on('exit', leaveAll);
    return () => {
      residents.delete(resident);
      if (residents.size === 0) process.off('beforeExit', drainAll).off('exit', leaveAll);
    };
  },

  whenAsked(end) {
    const signals = ['SIGTERM', 'SIGINT'] as const;
    const forget = (): void => signals.forEach((signal) => process.off(signal, asked));
    const asked = (signal: NodeJS.Signals): void => {
      forget();
      // Again, as if nobody had listened. Who else does was told by the first one, and decides.
      const again = (): void => {
        if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
      };
      end().then(again, again);
    };
    signals.forEach((signal) => process.on(signal, asked));
    return forget;
  },
};

/** Timers of the SDK let a program end. While somebody waits for a call, this one doesn't. */
function keepAlive(): KeepAlive {
  let timer: NodeJS.Timeout | undefined;
  // Asked of the timer but once: with a full stack Node itself loses count in the middle of such a word.
  let holds = false;
  return {
    open() {
      if (holds) return;
      timer ??= setInterval(() => undefined, 2 ** 30);
      timer.ref();
      holds = true;
    },
    done() {
      if (!holds) return;
      holds = false;
      timer?.unref();
    },
  };
}

function keyOf(bytes: Uint8Array): KeyObject {
  const x = Buffer.from(bytes).toString('base64url');
  const known = keys.get(x);
  if (known !== undefined) return known;
  if (keys.size >= MAX_KEYS) keys.clear();
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  keys.set(x, key);
  return key;
}

/** Whether a connection that was closed had brought an answer before, as Node's `fetch` tells of it. */
function wasUsedBefore(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { socket } = at as { socket?: { bytesRead?: number } };
    if (socket !== undefined) return (socket.bytesRead ?? 0) > 0;
  }
  return false;
}

function codeBehind(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code;
    // Of several addresses, none could be reached: each has its error.
    if (at instanceof AggregateError && at.errors.length > 0) return codeBehind(at.errors[0]);
  }
  return undefined;
}
