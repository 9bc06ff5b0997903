import { createServer, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';

export type ReverseProxyOptions = {
  /** Address of the service. */
  target: string;
  /** Path prefix of the service at the proxy, such as `/bw`. The proxy answers 404 to other paths. */
  prefix: string;
  /** Whether the proxy removes the prefix (nginx: `proxy_pass http://host/;`) or passes the path on unchanged. */
  strips: boolean;
  /** Sent with each request, such as `X-Forwarded-Prefix`. */
  headers?: Record<string, string>;
};

/** A reverse proxy for HTTP and WebSocket on 127.0.0.1. `url` carries the prefix. */
export async function openReverseProxy({ target, prefix, strips, headers = {} }: ReverseProxyOptions) {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const paths: string[] = [];
  /** undefined: not below the prefix. */
  const pathOf = ({ url = '' }: IncomingMessage): string | undefined => {
    if (!url.startsWith(`${prefix}/`)) return undefined;
    paths.push(url);
    return strips ? url.slice(prefix.length) : url;
  };
  const server = createServer((incoming, outgoing) => {
    const path = pathOf(incoming);
    if (path === undefined) return void outgoing.writeHead(404).end('not below the prefix');
    const options = { hostname, port, path, method: incoming.method, headers: { ...incoming.headers, ...headers } };
    const passed = request(options, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    outgoing.on('close', () => passed.destroy());
    incoming.pipe(passed);
  });
  server.on('upgrade', (incoming: IncomingMessage, client: Socket, head: Buffer) => {
    const path = pathOf(incoming);
    if (path === undefined) return void client.destroy();
    const backend = connect(Number(port), hostname);
    track(backend);
    const lines = Object.entries({ ...incoming.headers, ...headers }).map(([name, value]) => `${name}: ${String(value)}`);
    backend.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    backend.write(head);
    backend.pipe(client).pipe(backend);
    client.once('close', () => backend.destroy());
  });
  const track = (socket: Socket) =>
    void sockets.add(socket.on('error', () => socket.destroy()).once('close', () => sockets.delete(socket)));
  server.on('connection', track);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return {
    url: `http://127.0.0.1:${address.port}${prefix}`,
    origin: `http://127.0.0.1:${address.port}`,
    /** Path of each request below the prefix, in the client's form. */
    paths,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
