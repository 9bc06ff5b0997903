/** SQLSTATEs and errors of sockets and clients that mean "the database is unavailable", not "the statement is wrong". */
const AWAY = /^(08|57P0|53)|^(ECONNREFUSED|ECONNRESET|EPIPE|ENOENT|CONNECTION_|CONNECT_TIMEOUT)/;
/** Messages of the queue's own client, which have no code. */
const TERMINATED = /^(Connection terminated|timeout exceeded when trying to connect)/;

/** Codes that only a database gives. The others above also occur for a missing file or another unreachable host. */
const OUTAGE = /^(08|57P0|53|CONNECTION_|CONNECT_TIMEOUT)/;

/** Whether the error is certainly an outage of the database. */
export function isDatabaseOutage(error: unknown): boolean {
  return error instanceof Error && 'code' in error && OUTAGE.test(String(error.code));
}

export function isDatabaseAway(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const code = 'code' in error ? String(error.code) : '';
  const message = 'message' in error ? String(error.message) : '';
  return AWAY.test(code) || TERMINATED.test(message);
}
