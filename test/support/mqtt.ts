import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';

/** A broker in this process (MQTT 3.1.1; `aedes` has no MQTT 5). It keeps its retained messages over `stop` and `start`, as one with a disk does. */
export async function openBroker({ password }: { password?: string } = {}) {
  const broker = await Aedes.createBroker({
    authenticate: (_client, _username, given, done) => {
      if (password === undefined || given?.toString() === password) return done(null, true);
      done(Object.assign(new Error('bad password'), { returnCode: 4 }) as never, false);
    },
  });
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  const start = async () => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      broker.handle(socket);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  };
  const stop = async () => {
    const closing = server;
    server = undefined;
    if (closing === undefined) return;
    closing.close();
    for (const socket of sockets) socket.destroy();
    await once(closing, 'close');
  };
  await start();
  return {
    url: `mqtt://127.0.0.1:${port}`,
    start,
    stop,
    close: async () => {
      await stop();
      await new Promise<void>((resolve) => broker.close(() => resolve()));
    },
  };
}

type Message = { digest: string; token: string; document?: unknown; files?: { path: string; content: string }[] };

/** A device at the broker: it takes its desired message, reports, and has a last will. @param refuse returns why it cannot apply a message */
export async function playDevice(
  url: string,
  id: string,
  { prefix = 'bellwether', protocolVersion = 4 as 4 | 5, refuse = (_message: Message): string | undefined => undefined } = {},
) {
  const topic = (leaf: string) => `${prefix}/${id}/${leaf}`;
  const taken: Message[] = [];
  const client = await connectAsync(url, {
    protocolVersion,
    will: { topic: topic('status'), payload: Buffer.from('offline'), retain: true, qos: 1 },
  });
  client.on('message', (_topic, payload) => {
    if (payload.length === 0) return;
    const message = JSON.parse(payload.toString('utf8')) as Message;
    taken.push(message);
    const why = refuse(message);
    const { digest, token } = message;
    const report = { digest, token, state: why === undefined ? 'applied' : 'failed', ...(why === undefined ? {} : { detail: why }) };
    client.publish(topic('reported'), JSON.stringify(report), { qos: 1, retain: true });
  });
  await client.publishAsync(topic('status'), 'online', { qos: 1, retain: true });
  await client.subscribeAsync(topic('desired'), { qos: 1 });
  return {
    taken,
    /** The connection breaks: the broker publishes the last will. */
    lose: async () => {
      client.options.reconnectPeriod = 0;
      const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
      client.stream.destroy();
      await closed;
    },
    close: () => client.endAsync(true),
  };
}
