import { type Logger, pino } from 'pino';

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
    redact: {
      paths: ['authorization', 'password', 'token', 'apiKey', 'secret', '*.authorization', '*.password', '*.token', '*.apiKey', '*.secret'],
      censor: '[redacted]',
    },
  });
}
