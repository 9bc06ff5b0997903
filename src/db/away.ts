/** SQLSTATEs and errors of sockets and clients that mean "the database is away", not "we did wrong". */
const AWAY = /^(08|57P0|53)|^(ECONNREFUSED|ECONNRESET|EPIPE|ENOENT|CONNECTION_|CONNECT_TIMEOUT)/;
/** What the queue's own client says, without a code. */
const TERMINATED = /^(Connection terminated|timeout exceeded when trying to connect)/;

/** Of the codes above, those that only a database gives: a file may be missing, and another host unreachable, as well. */
const OUTAGE = /^(08|57P0|53|CONNECTION_|CONNECT_TIMEOUT)/;

/** The database's own outage, and surely no other. */
export function isDatabaseOutage(error: unknown): boolean {
  return error instanceof Error && 'code' in error && OUTAGE.test(String(error.code));
}

export function isDatabaseAway(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const code = 'code' in error ? String(error.code) : '';
  const message = 'message' in error ? String(error.message) : '';
  return AWAY.test(code) || TERMINATED.test(message);
}
