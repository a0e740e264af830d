/** What Cloudflare Workers have built in; `waitUntil` since August 2025. */
declare module 'cloudflare:workers' {
  export const waitUntil: ((delivery: Promise<unknown>) => void) | undefined;
}
