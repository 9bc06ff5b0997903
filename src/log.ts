import { type Logger, pino, stdSerializers } from 'pino';

export type Log = Logger;

/**
 * Writes structured JSON lines to stdout. Bind ids with `log.child({ deviceId, sourceId, deploymentId, requestId })`. Durations are `durationMs`.
 * The logger redacts credentials by path. Code never logs a request's headers or a source's `auth`.
 */
export function createLog(level: string): Log {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: withoutValues },
    redact: {
      paths: ['authorization', 'password', 'token', 'apiKey', 'secret', '*.authorization', '*.password', '*.token', '*.apiKey', '*.secret'],
      censor: '[redacted]',
    },
  });
}

/** Removes `where` and `detail`, in which PostgreSQL quotes values of the row or JSON that it refused. */
function withoutValues(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { where: _where, detail: _detail, ...rest } = stdSerializers.err(error);
  return rest;
}
