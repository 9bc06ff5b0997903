import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';

const HOP_BY_HOP = new Set([
  'proxy-authorization',
  'proxy-connection',
  'connection',
  'upgrade',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
]);

export type ForwardProxyOptions = {
  /** Ports on this machine by name of a host that only the proxy knows. */
  hosts: Record<string, number>;
  /** The required `user:password`. */
  login?: string;
};

/** A forward proxy on 127.0.0.1, as in networks without direct access: CONNECT for port 443 only, plain HTTP by full URLs, no upgrades. */
export async function openForwardProxy({ hosts, login }: ForwardProxyOptions) {
  const sockets = new Set<Socket>();
  const log: string[] = [];
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).once('close', () => sockets.delete(socket));
  };
  const isAllowed = ({ headers }: IncomingMessage): boolean =>
    login === undefined || headers['proxy-authorization'] === `Basic ${Buffer.from(login).toString('base64')}`;
  const server = createServer((incoming, outgoing) => forward(incoming, outgoing));
  const forward = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    log.push(`${incoming.method} ${incoming.url}`);
    if (!isAllowed(incoming)) return void outgoing.writeHead(407, { 'proxy-authenticate': 'Basic' }).end();
    const url = URL.parse(incoming.url ?? '');
    const port = hosts[url?.hostname ?? ''];
    if (url === null || port === undefined) return void outgoing.writeHead(502).end('no such host');
    // The proxy removes headers of this hop, including those of an upgrade.
    const headers = Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => !HOP_BY_HOP.has(name)));
    const options = { hostname: '127.0.0.1', port, path: url.pathname + url.search, method: incoming.method, headers };
    const passed = request(options, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    outgoing.on('close', () => passed.destroy());
    incoming.pipe(passed);
  };
  server.on('connect', (incoming: IncomingMessage, client: Socket, head: Buffer) => {
    log.push(`CONNECT ${incoming.url}`);
    const [name = '', wanted] = (incoming.url ?? '').split(':');
    const port = hosts[name];
    const refusal = !isAllowed(incoming)
      ? '407 Proxy Authentication Required'
      : wanted !== '443'
        ? '403 Forbidden'
        : port
          ? ''
          : '502 Bad Gateway';
    if (refusal !== '' || port === undefined) return void client.end(`HTTP/1.1 ${refusal}\r\nContent-Length: 0\r\n\r\n`);
    const backend = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      backend.write(head);
      backend.pipe(client).pipe(backend);
    });
    track(backend);
    client.once('close', () => backend.destroy());
  });
  server.on('connection', track);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return {
    /** With its login, percent-encoded. */
    url: `http://${login === undefined ? '' : `${login.split(':').map(encodeURIComponent).join(':')}@`}127.0.0.1:${address.port}`,
    origin: `http://127.0.0.1:${address.port}`,
    /** Method and target of each request. */
    log,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
