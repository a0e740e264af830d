// Where the peers deliver to: it answers as their services do, and counts the events it was sent. Its control is on
// the same port: `GET /count`, `POST /outage/on|off`.
import { createServer } from 'node:http';
import { gunzipSync } from 'node:zlib';

let count = 0;
let isOut = false;

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    if (request.url === '/count') return response.end(String(count));
    if (request.url.startsWith('/outage/')) {
      isOut = request.url.endsWith('/on');
      return response.end();
    }
    // As the marketplace does in an outage.
    if (isOut) return request.socket.resetAndDestroy();
    const body = Buffer.concat(chunks);
    const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    count += JSON.parse(text.toString()).batch.length;
    response.setHeader('content-type', 'application/json');
    response.end('{"status":1,"success":true}');
  });
});
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
