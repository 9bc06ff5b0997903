import { type Logger, pino, stdSerializers } from 'pino';

export type Log = Logger;

/**
 * Structured JSON lines on stdout. Bind ids with `log.child({ deviceId, sourceId, deploymentId, requestId })`; durations are
 * `durationMs`. Credentials are redacted by path; code never logs a request's headers or a source's `auth`.
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

/** PostgreSQL's own words on an error quote the values of the row or JSON that it could not take. */
function withoutValues(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { where: _where, detail: _detail, ...rest } = stdSerializers.err(error);
  return rest;
}
