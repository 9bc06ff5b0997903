import type { Context, MiddlewareHandler } from 'hono';
import { Problem } from '../errors.ts';
import { isTooDeep, MAX_JSON_DEPTH } from '../wire/json.ts';
import type { Env } from './api.ts';

/** Largest body of an API request; hooks, reports and imports have their own bounds. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Refuses larger bodies, before they are read where their length is announced. */
export function limitBody(maxBytes: number = MAX_BODY_BYTES): MiddlewareHandler<Env> {
  const tooLarge = () => new Problem('too_large', `Cannot take a request of more than ${maxBytes} bytes`, { status: 413 });
  return async (c, next) => {
    // A body where none belongs is read by nobody: the server throws it away by itself.
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return next();
    const announced = c.req.header('content-length');
    if (announced !== undefined && c.req.header('transfer-encoding') === undefined) {
      // The parser holds the sender to what it announced. To count it here would turn every body into a stream, which costs more than the rest of the request.
      if (Number(announced) > maxBytes) await readBounded(c.req.raw, maxBytes, tooLarge);
    } else if (c.req.raw.body !== null) {
      const bytes = await readBounded(c.req.raw, maxBytes, tooLarge);
      c.req.raw = new Request(c.req.raw, { body: bytes });
    }
    return next();
  };
}

/** Refuses JSON that is nested too deeply, before anything else looks at it. Other kinds of bodies pass. */
export function limitDepth(): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (/^application\/([\w.-]+\+)?json\b/i.test(c.req.header('content-type') ?? '')) refuseDeep(await c.req.text());
    return next();
  };
}

/** The body as JSON, whatever its type says. @throws Problem `too_deep`, SyntaxError */
export async function readJson(c: Context<Env>): Promise<unknown> {
  const text = await c.req.text();
  refuseDeep(text);
  return JSON.parse(text);
}

function refuseDeep(json: string): void {
  if (isTooDeep(json))
    throw new Problem('too_deep', `Cannot take JSON that is nested more than ${MAX_JSON_DEPTH} levels deep`, { status: 400 });
}

/** Of a body that is refused so much is still read, and for so long. */
const SWALLOWED_BYTES = 16 * 1024 * 1024;
const SWALLOW_MS = 1_000;

/**
 * The whole body. One that is larger, or says that it is, is refused after its rest has been read away, within bounds: who is cut off while
 * still sending often never gets to read the answer.
 * @throws what `tooLarge` makes
 */
export async function readBounded(request: Request, maxBytes: number, tooLarge: () => Problem): Promise<Uint8Array<ArrayBuffer>> {
  const refused = Number(request.headers.get('content-length') ?? 0) > maxBytes;
  const reader = request.body?.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let read = await reader?.read(); read?.done === false && !refused && size <= maxBytes; read = await reader?.read()) {
    chunks.push(read.value);
    size += read.value.byteLength;
  }
  if (!refused && size <= maxBytes) return new Uint8Array(Buffer.concat(chunks));
  if (reader !== undefined) await swallow(reader);
  throw tooLarge();
}

async function swallow(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), SWALLOW_MS);
  const over = new Promise<undefined>((resolve) => late.signal.addEventListener('abort', () => resolve(undefined), { once: true }));
  let swallowed = 0;
  while (swallowed < SWALLOWED_BYTES) {
    // Not cancelled when it takes too long: that would end the connection before the answer.
    const read = await Promise.race([reader.read().catch(() => undefined), over]);
    if (read === undefined || read.done) break;
    swallowed += read.value.byteLength;
  }
  clearTimeout(timer);
}
