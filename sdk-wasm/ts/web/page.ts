/** A page: what it has besides the primitives of the web, and how it is left. */
import type { Platform } from '../platform.js';
import { indexedLog } from './log.js';
import { web } from './platform.js';

/**
 * The most of ours that may be under way when a page goes, in bytes. The Fetch standard has 64 KiB for all
 * `keepalive` requests of a page, and the solution's own code may have some.
 */
const MAX_KEPT_BYTES = 60_000;

/** What is under way and may outlive the page. */
let keptBytes = 0;

export const page: Platform = {
  ...web,

  keepsUsage: () => typeof indexedDB !== 'undefined',

  log: indexedLog,

  channel() {
    if (typeof BroadcastChannel === 'undefined' || typeof document === 'undefined')
      return undefined;
    const channel = new BroadcastChannel('cloudnestle-marketplace/pairs');
    return {
      say: (word) => channel.postMessage(word),
      listen: (hear) => (channel.onmessage = ({ data }) => hear(data)),
      close: () => channel.close(),
    };
  },

  /** What has begun to be sent arrives although the page goes. */
  fetchBy(own) {
    const fetch = web.fetchBy(own);
    return async (input, init) => {
      const { body } = init ?? {};
      const bytes = body instanceof Uint8Array ? body.byteLength : 0;
      if (bytes === 0 || keptBytes + bytes > MAX_KEPT_BYTES) return fetch(input, init);
      keptBytes += bytes;
      try {
        return await fetch(input, { ...init, keepalive: true });
      } finally {
        keptBytes -= bytes;
      }
    };
  },

  /**
   * A page may end whenever it is hidden, and is told of nothing after that. So what waits is sent then; and when it
   * comes back, by the browser's memory or its network.
   */
  whenIdle(drain) {
    const send = (): void => void drain().catch(() => undefined);
    const hidden = (): void => {
      if (document.visibilityState === 'hidden') send();
    };
    const back = (event: PageTransitionEvent): void => {
      if (event.persisted) send();
    };
    // A worker has no document, and a server that renders a page has neither.
    const isPage = typeof document !== 'undefined' && typeof addEventListener === 'function';
    if (!isPage) return web.whenIdle(drain, () => undefined);
    document.addEventListener('visibilitychange', hidden);
    addEventListener('pageshow', back);
    addEventListener('online', send);
    return () => {
      document.removeEventListener('visibilitychange', hidden);
      removeEventListener('pageshow', back);
      removeEventListener('online', send);
    };
  },
};
