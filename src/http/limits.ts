import type { MiddlewareHandler } from 'hono';
import { Problem } from '../errors.ts';
import { isTooDeep, MAX_JSON_DEPTH } from '../wire/text/json.ts';
import { storableJson } from '../wire/text/text.ts';
import type { KitContext } from './kit.ts';

/** Largest body of an API request. Webhooks, reports and imports have their own limits. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Refuses larger bodies. Where the request states its length, it refuses before reading. */
export function limitBody(maxBytes: number = MAX_BODY_BYTES): MiddlewareHandler {
  const tooLarge = () => new Problem('too_large', `Cannot take a request of more than ${maxBytes} bytes`);
  return async (c, next) => {
    // The server discards the body of a GET.
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return next();
    const announced = c.req.header('content-length');
    if (announced !== undefined && c.req.header('transfer-encoding') === undefined) {
      // The parser enforces the stated length. Counting here would turn every body into a stream, which costs more than the rest of the request.
      if (Number(announced) > maxBytes) throw tooLarge();
    } else if (c.req.raw.body !== null) {
      const bytes = await readBounded(c.req.raw, maxBytes, tooLarge);
      c.req.raw = new Request(c.req.raw, { body: bytes });
    }
    return next();
  };
}

/** Refuses JSON that is nested too deeply, before anything else parses it. Other media types pass. */
export function limitDepth(): MiddlewareHandler {
  return async (c, next) => {
    if (/^application\/([\w.-]+\+)?json\b/i.test(c.req.header('content-type') ?? '')) refuseDeep(await c.req.text());
    return next();
  };
}

/** Reads the body as JSON regardless of its media type, with texts that the database can store. @throws Problem `too_deep`, SyntaxError */
export async function readJson(c: KitContext): Promise<unknown> {
  const text = await c.req.text();
  refuseDeep(text);
  return JSON.parse(storableJson(text));
}

function refuseDeep(json: string): void {
  if (isTooDeep(json)) throw new Problem('too_deep', `Cannot take JSON that is nested more than ${MAX_JSON_DEPTH} levels deep`);
}

/**
 * Reads the whole body. It refuses a larger one as early as it can: before the first byte where the request states its length.
 * @throws the problem of `tooLarge`; the answer then reads and drops the rest (`swallow`)
 */
export async function readBounded(request: Request, maxBytes: number, tooLarge: () => Problem): Promise<Uint8Array<ArrayBuffer>> {
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  const reader = request.body?.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
    chunks.push(read.value);
    size += read.value.byteLength;
    if (size <= maxBytes) continue;
    reader?.releaseLock();
    throw tooLarge();
  }
  return new Uint8Array(Buffer.concat(chunks));
}
