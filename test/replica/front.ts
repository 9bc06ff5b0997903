import { connect, createServer, type Socket } from 'node:net';

/** A load balancer as plain as can be: each new connection goes to the next address that takes it, whoever it is from. */
export async function openFront(targets: readonly string[]) {
  const sockets = new Set<Socket>();
  let turn = 0;
  const server = createServer({ pauseOnConnect: true }, (client) => {
    track(client);
    pass(client, targets.length);
  });
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).once('close', () => sockets.delete(socket));
  };
  const pass = (client: Socket, triesLeft: number) => {
    const { hostname, port } = new URL(targets[turn++ % targets.length] ?? '');
    const backend = connect(Number(port), hostname);
    track(backend);
    const next = () => (triesLeft > 1 ? pass(client, triesLeft - 1) : client.destroy());
    backend.once('error', next).once('connect', () => {
      backend.off('error', next);
      client.pipe(backend).pipe(client);
      backend.once('close', () => client.destroy());
      client.once('close', () => backend.destroy());
    });
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
