import type { Context, MiddlewareHandler } from 'hono';
import type { SecretBox } from '../crypto/secret-box.ts';
import type { Sql } from '../db/connect.ts';
import { Problem } from '../errors.ts';
import { sha256Hex } from '../wire/bundle.ts';
import { type Caller, claimKey, releaseKey, requestOfKey, type StoredRequest, storeAnswer } from './idempotency-store.ts';
import type { KitEnv } from './kit.ts';

type StoredAnswer = { status: number; contentType: string; body: string; headers: Record<string, string> };

/**
 * Handles `Idempotency-Key` on mutations. The same key with the same request gets the first answer again, without a second effect. The same key with
 * another request is refused. While the first request runs, a second one gets `idempotency_in_progress` and a Retry-After. Answers are kept sealed
 * for a day.
 */
export function idempotency<E extends KitEnv>(sql: Sql, box: SecretBox, callerOf: (c: Context<E>) => Caller): MiddlewareHandler<E> {
  return async (c, next) => {
    const key = c.req.header('idempotency-key');
    if (key === undefined || !['POST', 'PATCH', 'PUT', 'DELETE'].includes(c.req.method)) return next();
    if (!/^[\x21-\x7e]{1,200}$/.test(key))
      throw new Problem('invalid_request', 'Cannot accept the Idempotency-Key: must be 1 to 200 visible ASCII characters');
    const owner = { ...callerOf(c), key };
    // Without the origin, since the same request may use another host name of the service.
    const { pathname, search } = new URL(c.req.url);
    const requestHash = sha256Hex(`${c.req.method} ${pathname}${search}\n${await c.req.text()}`);
    const context = `idempotency:${owner.organizationId}:${owner.actor}:${key}`;
    if (!(await claimKey(sql, owner, requestHash))) {
      c.res = replay(await requestOfKey(sql, owner), requestHash, box, context);
      return undefined;
    }
    await next();
    if (c.res.status >= 500) await releaseKey(sql, owner);
    else await storeAnswer(sql, owner, c.res.status, box.seal(JSON.stringify(await answerOf(c.res)), context));
    return undefined;
  };
}

function replay(row: StoredRequest | undefined, requestHash: string, box: SecretBox, context: string): Response {
  if (row !== undefined && row.requestHash !== requestHash) {
    throw new Problem('idempotency_key_reused', 'Cannot accept the Idempotency-Key: it was used for another request');
  }
  if (row === undefined || row.status === null || row.answerSealed === null) {
    throw new Problem('idempotency_in_progress', 'Cannot answer yet: the first request with this Idempotency-Key is still running', {
      retryAfterSeconds: 1,
    });
  }
  const answer: StoredAnswer = JSON.parse(box.open(row.answerSealed, context));
  const body = answer.status === 204 ? null : answer.body;
  return new Response(body, {
    status: answer.status,
    headers: { ...answer.headers, 'content-type': answer.contentType, 'idempotent-replayed': 'true' },
  });
}

async function answerOf(response: Response): Promise<StoredAnswer> {
  const headers: Record<string, string> = {};
  for (const name of ['etag', 'location']) {
    const value = response.headers.get(name);
    if (value !== null) headers[name] = value;
  }
  return {
    status: response.status,
    contentType: response.headers.get('content-type') ?? 'application/json',
    body: await response.clone().text(),
    headers,
  };
}
