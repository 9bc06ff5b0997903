import type { DefaultEventsMap, Namespace, Socket } from 'socket.io';
import { createRerun } from '../async/rerun.ts';
import type { Log } from '../log.ts';
import type { Actor } from '../organization/organization.ts';
import type { Credential } from '../session/session.ts';
import type { Closing, DeviceUpdate, LiveEvent } from '../wire/live.ts';

export type ClientEvents = {
  subscribe(request: unknown, acknowledge: unknown): void;
  unsubscribe(request: unknown, acknowledge: unknown): void;
  heartbeat(acknowledge: unknown): void;
};
export type ServerEvents = { event(event: LiveEvent): void; device_update(update: DeviceUpdate): void; closing(closing: Closing): void };
export type SocketData = { actor: Actor; credential: Credential };
export type LiveSocket = Socket<ClientEvents, ServerEvents, DefaultEventsMap, SocketData>;
export type LiveNamespace = Namespace<ClientEvents, ServerEvents, DefaultEventsMap, SocketData>;

export type LiveLimits = {
  /** Between two checks of the packets that wait for each socket. */
  checkIntervalMs: number;
  /** Packets that may wait for a slow socket. Must exceed one replay. */
  maxWaitingPackets: number;
  /** The same in bytes. */
  maxWaitingBytes: number;
  /** Between two checks of the tokens and sessions of open connections. */
  reauthenticateMs: number;
  /** For each of the two steps of closing: deliver, then end. */
  closeTimeoutMs: number;
};

export const LIVE_LIMITS: Readonly<LiveLimits> = {
  checkIntervalMs: 1_000,
  maxWaitingPackets: 20_000,
  maxWaitingBytes: 16 * 1024 * 1024,
  reauthenticateMs: 60_000,
  closeTimeoutMs: 2_000,
};

export type SocketWatch = {
  /** Checks the tokens and sessions of all connections now. */
  recheck(): void;
  close(): Promise<void>;
};

/** Ends connections that do not read, and those whose token was revoked or whose session is over. */
export function watchSockets(
  live: LiveNamespace,
  authenticate: (credential: Credential) => Promise<Actor | undefined>,
  limits: LiveLimits,
  log: Log,
): SocketWatch {
  const slow = setInterval(() => {
    for (const socket of live.sockets.values()) if (isTooSlow(socket, limits)) dropSlow(socket, log);
  }, limits.checkIntervalMs);
  // The next check finds a token that is revoked during this one.
  const checks = createRerun(() => dropRevoked([...live.sockets.values()], authenticate, log));
  const recheck = () => void checks.ask();
  const revoked = setInterval(recheck, limits.reauthenticateMs);
  return {
    recheck,
    close: async () => {
      clearInterval(slow);
      clearInterval(revoked);
      await checks.idle();
    },
  };
}

export function isTooSlow(socket: LiveSocket, limits: LiveLimits): boolean {
  const { packets, bytes } = waitingFor(socket);
  return packets > limits.maxWaitingPackets || bytes > limits.maxWaitingBytes;
}

/** Closes the connection without a `disconnect` packet, so that its client reconnects by itself and resumes after its last cursor. */
export async function endConnection(socket: LiveSocket, discard: boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.conn.once('close', () => resolve());
    if (socket.conn.readyState === 'closed') resolve();
    else socket.conn.close(discard);
    // Packets to a client that does not read never drain. Only a broken connection releases their memory.
    if (discard) webSocketOf(socket)?.terminate();
  });
}

function dropSlow(socket: LiveSocket, log: Log): void {
  const { organizationId, name } = socket.data.actor;
  log.warn(
    { organizationId, socketId: socket.id, tokenName: name, reason: 'too_slow', ...waitingFor(socket) },
    'live connection dropped: it does not read',
  );
  void endConnection(socket, true);
}

async function dropRevoked(
  sockets: readonly LiveSocket[],
  authenticate: (credential: Credential) => Promise<Actor | undefined>,
  log: Log,
): Promise<void> {
  const bySecret = Map.groupBy(sockets, (socket) => socket.data.credential.secret);
  for (const holders of bySecret.values()) {
    const [first] = holders;
    try {
      if (first === undefined || (await authenticate(first.data.credential)) !== undefined) continue;
    } catch (error) {
      log.debug({ err: error }, 'failed to check the credentials of live connections; the next check follows');
      return;
    }
    for (const socket of holders) {
      socket.emit('closing', { code: 'unauthorized', detail: `The ${first.data.credential.via} of this connection is no longer valid` });
      socket.disconnect(true);
    }
  }
}

type Buffered = { bufferedAmount: number; terminate(): void };

/** Socket.IO has no public measure of waiting packets. Engine.IO has had these two fields since its first version with TypeScript. */
function waitingFor(socket: LiveSocket): { packets: number; bytes: number } {
  const buffer: unknown = Reflect.get(socket.conn, 'writeBuffer');
  const packets: unknown[] = Array.isArray(buffer) ? buffer : [];
  const bytes = packets.reduce<number>((sum, packet) => sum + sizeOf(packet), webSocketOf(socket)?.bufferedAmount ?? 0);
  return { packets: packets.length, bytes };
}

function sizeOf(packet: unknown): number {
  const holds = typeof packet === 'object' && packet !== null && 'data' in packet && typeof packet.data === 'string';
  return holds ? String(packet.data).length : 0;
}

function webSocketOf(socket: LiveSocket): Buffered | undefined {
  const transport: unknown = Reflect.get(socket.conn.transport, 'socket');
  return isBuffered(transport) ? transport : undefined;
}

function isBuffered(value: unknown): value is Buffered {
  return (
    typeof value === 'object' &&
    value !== null &&
    'bufferedAmount' in value &&
    typeof value.bufferedAmount === 'number' &&
    'terminate' in value &&
    typeof value.terminate === 'function'
  );
}
