import { connect, createServer, type Socket } from 'node:net';

/** A relay before a server's Unix socket. It can drop all bytes, like a network that loses every packet, or break all connections. */
export type Relay = {
  port: number;
  /** Connections stay open without traffic. The relay still accepts new ones. */
  freeze(): void;
  thaw(): void;
  breakAll(): void;
  close(): Promise<void>;
};

/**
 * @param target path of the socket; called for each connection
 * @param resetsAt whether to reset the connection of a client that has sent this
 */
export async function openRelay(target: () => string, resetsAt: (data: Buffer) => boolean = () => false): Promise<Relay> {
  const pairs = new Map<Socket, Socket | undefined>();
  let frozen = false;
  const join = (client: Socket, server: Socket) => {
    client.pipe(server);
    server.pipe(client);
  };
  const attach = (client: Socket) => {
    const server = connect(target());
    pairs.set(client, server);
    const end = () => {
      client.destroy();
      server.destroy();
      pairs.delete(client);
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    client.on('data', (data: Buffer) => {
      if (resetsAt(data)) client.resetAndDestroy();
    });
    if (!frozen) join(client, server);
  };
  const relay = createServer((client) => {
    if (!frozen) return attach(client);
    pairs.set(client, undefined);
    client.on('error', () => client.destroy()).on('close', () => pairs.delete(client));
  });
  await new Promise<void>((done) => relay.listen(0, '127.0.0.1', done));
  const address = relay.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  const breakAll = () => {
    for (const [client, server] of pairs) {
      client.destroy();
      server?.destroy();
    }
  };
  return {
    port: address.port,
    freeze: () => {
      frozen = true;
      for (const [client, server] of pairs) {
        if (server === undefined) continue;
        client.unpipe(server).pause();
        server.unpipe(client).pause();
      }
    },
    thaw: () => {
      frozen = false;
      for (const [client, server] of pairs) {
        if (server === undefined) attach(client);
        else join(client, server);
      }
    },
    breakAll,
    close: async () => {
      const closed = new Promise((done) => relay.close(done));
      breakAll();
      await closed;
    },
  };
}
