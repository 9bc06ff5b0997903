import type { MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { Problem } from '../errors.ts';
import type { Env } from './api.ts';

/** Largest body of an API request; hooks, reports and imports have their own bounds. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Refuses larger bodies, before they are read where their length is announced. */
export function limitBody(maxBytes: number = MAX_BODY_BYTES): MiddlewareHandler<Env> {
  return bodyLimit({
    maxSize: maxBytes,
    onError: () => {
      throw new Problem('too_large', `Cannot take a request of more than ${maxBytes} bytes`, { status: 413 });
    },
  });
}
