import type { LiveSocket } from './sockets.ts';

type Connection = LiveSocket['conn'];

/** Connections that have not shown a valid token yet: of one sender, and of all. Each costs some 10 kB until Socket.IO's own timeout of 10 s. */
const MAX_OF_SENDER = 200;
const MAX_OF_ALL = 1_000;

export type Handshakes = {
  /** Whether the connection may show a token now: one at a time. */
  begin(connection: Connection): boolean;
  /** The connection has shown a valid token: it does not count any more. */
  admit(connection: Connection): void;
  waiting(): number;
};

/**
 * Bounds what strangers hold open. The oldest connection makes room for a new one: a valid client shows its token at once, so that it is not
 * among the oldest.
 */
export function boundHandshakes(onConnection: (listener: (connection: Connection) => void) => void, senderOf: SenderOf): Handshakes {
  const bySender = new Map<string, Set<Connection>>();
  const all = new Set<Connection>();
  const showing = new WeakSet<Connection>();
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
      if (showing.has(connection)) return false;
      showing.add(connection);
      return true;
    },
    admit: (connection) => {
      showing.delete(connection);
      forget(connection, senderOf(connection));
    },
    waiting: () => all.size,
  };
}

type SenderOf = (connection: Connection) => string;
