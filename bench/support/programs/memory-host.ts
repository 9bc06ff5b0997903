import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/**
 * A process that answers like the Git host in its argument, from memory. It passes each different request on once, and repeats the answer for
 * all equal requests, whatever the repository's name. It prints its address and ends on SIGTERM.
 */

type Answer = { status: number; type: string; body: Buffer };

const upstream = process.argv[2] ?? '';
/** The only repository that it requests from the Git host. */
const repository = process.argv[3] ?? '';
const answers = new Map<string, Promise<Answer>>();

const server = createServer((asked, response) => {
  serve(asked, response).catch(() => response.writeHead(502).end());
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`http://127.0.0.1:${port}\n`);
});
process.once('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});

async function serve(asked: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = asked.method === 'POST' ? await buffer(asked) : Buffer.alloc(0);
  const path = (asked.url ?? '').replace(/^\/[^/]+\.git/, `/${repository}.git`);
  const version = String(asked.headers['git-protocol'] ?? '');
  const name = createHash('sha1').update(`${asked.method} ${path} ${version}\n`).update(body).digest('base64');
  const answer = answers.get(name) ?? fetchOnce(asked, path, body);
  answers.set(name, answer);
  const { status, type, body: bytes } = await answer;
  response.writeHead(status, { 'content-type': type, 'content-length': bytes.length }).end(bytes);
}

function fetchOnce(asked: IncomingMessage, path: string, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { host: _host, connection: _connection, 'transfer-encoding': _encoding, ...headers } = asked.headers;
    const sent = request(new URL(path, upstream), { method: asked.method, headers, timeout: 10_000 }, (response) => {
      buffer(response).then(
        (bytes) => resolve({ status: response.statusCode ?? 502, type: response.headers['content-type'] ?? '', body: bytes }),
        reject,
      );
    });
    sent.once('error', reject);
    sent.end(body);
  });
}
