import type { LiveSocket } from './sockets.ts';

type Connection = LiveSocket['conn'];

/** Connections without a valid token: of one sender, and of all. Each costs some 10 kB until Socket.IO's own timeout of 10 s. */
const MAX_OF_SENDER = 200;
const MAX_OF_ALL = 1_000;

export type Handshakes = {
  /** Whether the connection may send a token now: one at a time. */
  begin(connection: Connection): boolean;
  /** The connection has sent a valid token, and does not count any more. */
  admit(connection: Connection): void;
  waiting(): number;
};

/** Bounds the connections of strangers. A new connection closes the oldest one. A valid client is not among the oldest: it sends its token at once. */
export function boundHandshakes(onConnection: (listener: (connection: Connection) => void) => void, senderOf: SenderOf): Handshakes {
  const bySender = new Map<string, Set<Connection>>();
  const all = new Set<Connection>();
  const verifying = new WeakSet<Connection>();
  const forget = (connection: Connection, sender: string) => {
    if (!all.delete(connection)) return;
    const own = bySender.get(sender);
    own?.delete(connection);
    if (own?.size === 0) bySender.delete(sender);
  };
  onConnection((connection) => {
    const sender = senderOf(connection);
    const own = bySender.get(sender) ?? new Set();
    bySender.set(sender, own.add(connection));
    all.add(connection);
    connection.once('close', () => forget(connection, sender));
    const [oldest] = own.size > MAX_OF_SENDER ? own : all.size > MAX_OF_ALL ? all : [];
    oldest?.close(true);
  });
  return {
    begin: (connection) => {
      if (verifying.has(connection)) return false;
      verifying.add(connection);
      return true;
    },
    admit: (connection) => {
      verifying.delete(connection);
      forget(connection, senderOf(connection));
    },
    waiting: () => all.size,
  };
}

type SenderOf = (connection: Connection) => string;
