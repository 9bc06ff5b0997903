import type { IncomingMessage } from 'node:http';
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

/** One new connection of such a sender begins in this time. As many failures are added to its limit, so that it gets at most 40 each second. */
const SUSPECT_EVERY_MS = 50;

/**
 * Decides when a new connection may begin. `proceed` gets false when too many of its sender wait already.
 * A connection of a sender within its limits begins at once.
 */
export type Pace = {
  begin(request: Pick<IncomingMessage, 'socket'>, sender: string, proceed: Proceed): void;
  /** Refuses all that wait, so that a stop does not wait for them. */
  close(): void;
};
type Proceed = (mayBegin: boolean) => void;

/**
 * Slows senders that have used up their failures. The token arrives only after the connection has begun, which costs some milliseconds of the
 * thread that serves all organizations. Therefore their connections wait in turn. A valid client of the same address is served too, only later.
 */
export function paceSuspects(isSuspect: (sender: string) => boolean): Pace {
  const waiting = new Map<string, Set<Proceed>>();
  const next = (sender: string, queue: Set<Proceed>) => {
    const [first] = queue;
    if (first === undefined) return void waiting.delete(sender);
    queue.delete(first);
    first(true);
    setTimeout(next, SUSPECT_EVERY_MS, sender, queue).unref();
  };
  const begin: Pace['begin'] = ({ socket }, sender, proceed) => {
    const known = waiting.get(sender);
    if (known === undefined && !isSuspect(sender)) return proceed(true);
    const queue = known ?? new Set();
    if (queue.size >= MAX_OF_SENDER) return proceed(false);
    const turn = (mayBegin: boolean) => {
      socket.off('close', leave);
      socket.off('error', ignore);
      proceed(mayBegin);
    };
    const leave = () => void queue.delete(turn);
    socket.once('close', leave);
    // Nobody else listens to the socket of an upgrade yet, and an error without a listener would end the process.
    socket.on('error', ignore);
    queue.add(turn);
    if (known !== undefined) return;
    waiting.set(sender, queue);
    next(sender, queue);
  };
  const close = () => {
    for (const queue of waiting.values()) {
      for (const turn of queue) turn(false);
      queue.clear();
    }
  };
  return { begin, close };
}

const ignore = (): void => undefined;
