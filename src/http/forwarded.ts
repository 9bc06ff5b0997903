import type { IncomingMessage } from 'node:http';
import type { Log } from '../log.ts';

/** Detects a proxy whose header is not trusted. All clients behind such a proxy share one address, and so the limits of one sender. */
export type ForwardedNotice = {
  observe(request: IncomingMessage): void;
  /** Warnings for `/health`; empty until such a proxy was detected. */
  warnings(): string[];
};

const WARNING =
  'Requests carry X-Forwarded-For, but TRUST_PROXY is off: all clients behind a proxy count as one sender. Set TRUST_PROXY=true if the proxy is yours';

export function createForwardedNotice(trustProxy: boolean, log: Log, count: () => void): ForwardedNotice {
  let isNoticed = false;
  return {
    observe: (request) => {
      if (trustProxy || request.headers['x-forwarded-for'] === undefined) return;
      count();
      if (!isNoticed) log.warn({ address: request.socket.remoteAddress }, WARNING);
      isNoticed = true;
    },
    warnings: () => (isNoticed ? [WARNING] : []),
  };
}
