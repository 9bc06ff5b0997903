import { STATUS_CODES } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Logger } from 'pino';
import { invalid, Problem } from '../errors.ts';
import { UUID } from '../ids.ts';
import { endingAfterRequest } from './swallow.ts';

/** Part of a request's context that this kit needs. */
export type KitEnv = { Bindings: HttpBindings; Variables: { requestId: string; log: Logger } };
/** Context of any request that has this part. `set` would bind the type to this kit's variables alone. */
export type KitContext = Omit<Context<KitEnv>, 'set'>;

/** Logger for one request. It is made on demand, since most requests log nothing and a logger costs more than many of them. */
export function logOf(c: KitContext): Logger {
  return c.get('log').child({ requestId: c.get('requestId') });
}

export const ProblemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.string(),
    detail: z.string(),
    instance: z.string().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  })
  .openapi('Problem');

/** RFC 9457. */
export function problemDocument(problem: Problem, requestId: string): z.output<typeof ProblemSchema> {
  return {
    type: 'about:blank',
    title: STATUS_CODES[problem.status] ?? 'Error',
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    instance: `urn:request:${requestId}`,
    ...(problem.errors === undefined ? {} : { errors: problem.errors }),
  };
}

export function problemResponse(c: KitContext, problem: Problem): Response {
  const headers: Record<string, string> = { 'content-type': 'application/problem+json', 'x-content-type-options': 'nosniff' };
  if (problem.retryAfterSeconds !== undefined) headers['retry-after'] = String(problem.retryAfterSeconds);
  if (problem.status === 401) headers['www-authenticate'] = 'Bearer realm="bellwether"';
  const document = JSON.stringify(problemDocument(problem, c.get('requestId') ?? ''));
  if (problem.status !== 413) return new Response(document, { status: problem.status, headers });
  // The body has not been read to its end, so no other request can follow on this connection.
  const closing = { ...headers, connection: 'close', 'content-length': String(Buffer.byteLength(document)) };
  return new Response(endingAfterRequest(document, c.req.raw), { status: problem.status, headers: closing });
}

const problemContent = { 'application/problem+json': { schema: ProblemSchema } };

/** Error answers that any operation may give, for its OpenAPI description. */
export const problems = {
  400: { description: 'The request is malformed or invalid', content: problemContent },
  401: { description: 'No valid credentials', content: problemContent },
  403: { description: 'The role may not do this', content: problemContent },
  404: { description: 'Not found in this organization', content: problemContent },
  409: { description: 'Conflict with the present state', content: problemContent },
  408: { description: 'The request arrived too slowly', content: problemContent },
  412: { description: 'If-Match names another version', content: problemContent },
  413: { description: 'The body is too large', content: problemContent },
  415: { description: 'The body is of another media type', content: problemContent },
  422: { description: 'Valid but impossible; or the Idempotency-Key was used for another request', content: problemContent },
  429: { description: 'Too many requests', content: problemContent },
  431: { description: 'The address and headers are too large', content: problemContent },
  503: { description: 'Temporarily unavailable', content: problemContent },
} as const;

export function json<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

export function body<S extends z.ZodType>(schema: S) {
  return { required: true, content: { 'application/json': { schema } } };
}

/** Query parameters of every list. Cursors are opaque to clients. */
export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(50),
  cursor: z.string().max(400).optional(),
});

/** A time of RFC 3339, or a date, which means its midnight in UTC. */
export const Moment = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

export function dateOf(moment: string | undefined): Date | null {
  return moment === undefined ? null : new Date(moment);
}

export function page<S extends z.ZodType>(item: S) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() });
}

/** @param isKey whether the text can be a key of the list @throws Problem `invalid_request` */
export function decodeCursor(cursor: string | undefined, isKey: (text: string) => boolean = () => true): string | null {
  if (cursor === undefined || cursor === '') return null;
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  if (Buffer.from(text).toString('base64url') !== cursor || !isKey(text))
    throw invalid(`Cannot read the cursor "${cursor}": use nextCursor of an earlier answer`);
  return text;
}

/** Decodes a cursor of a list by number. */
export function decodeNumberCursor(cursor: string | undefined): number | null {
  const text = decodeCursor(cursor, (key) => /^\d{1,15}$/.test(key));
  return text === null ? null : Number(text);
}

/** Decodes a cursor of a list by time. */
export function decodeTimeCursor(cursor: string | undefined): Date | null {
  const text = decodeCursor(cursor, (key) => /^\d{4}-\d{2}-\d{2}T/.test(key) && !Number.isNaN(Date.parse(key)));
  return text === null ? null : new Date(text);
}

/** Decodes a cursor of a list by UUID. */
export function decodeIdCursor(cursor: string | undefined): string | null {
  return decodeCursor(cursor, (key) => UUID.test(key));
}

/** Makes a page of rows that were read with `limit + 1`; the extra row shows that a next page exists. */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  keyOf: (row: Row) => string | number,
  view: (row: Row) => Item,
): { items: Item[]; nextCursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { items: shown.map(view), nextCursor: more ? Buffer.from(String(keyOf(last))).toString('base64url') : null };
}

/** @throws Problem `version_mismatch` (412) when `If-Match` names another version */
export function checkIfMatch(c: KitContext, version: number): void {
  const wanted = c.req.header('if-match');
  if (wanted === undefined || wanted === '*') return;
  const tags = wanted.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (!tags.includes(etagOf(version))) {
    throw new Problem('version_mismatch', `Cannot change ${c.req.path}: If-Match is ${wanted}, the present version is ${etagOf(version)}`);
  }
}

export function etagOf(version: number): string {
  return `"${version}"`;
}
