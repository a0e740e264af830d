// Runs the program as a development server loads it, its dependencies included.
import { createServer } from 'vite';

const server = await createServer({
  server: { middlewareMode: true },
  appType: 'custom',
  logLevel: 'error',
});
await server.ssrLoadModule('/../node/program.mjs');
await server.close();
