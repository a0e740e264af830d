// What is used of the npm package that carries the server. It is no dependency: who tests installs it.
declare module '@cloudnestle/mock-server' {
  interface Running {
    readonly url: string;
    readonly controlToken: string;
    stop(): Promise<void>;
  }
  interface Start {
    readonly db?: string;
    readonly seed?: string;
    readonly port?: number;
    readonly timeoutMs?: number;
    readonly args?: readonly string[];
  }
  export function start(options?: Start): Promise<Running>;
}
