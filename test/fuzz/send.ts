import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { signatureOf } from '../support/actors.ts';
import { toJson } from './json.ts';
import type { Body, Request } from './requests.ts';
import type { World } from './world.ts';

/** A request in its final form. */
export type Sent = {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer | undefined;
  chunked: boolean;
  limitMs: number;
};
export type Answer = { status: number; headers: IncomingHttpHeaders; body: Buffer };

/** Time limit of every answer. The requests do not use long polls. */
const ANSWER_MS = 10_000;
/** The same where the service waits for a git host, and says so by the answer 504: its retries take 25 s, and a test delivery 8 s. */
const HOST_ANSWER_MS = 40_000;

export async function prepare(world: World, request: Request): Promise<Sent> {
  const { operation, body } = request;
  const resolve = await world.resolver(request);
  const query = request.query.map(([name, value]) => {
    const text = toJson(value, resolve);
    return `${encodeURIComponent(name)}=${text.startsWith('"') ? encodeURIComponent(String(JSON.parse(text)).toWellFormed()) : text}`;
  });
  const bytes = body === undefined ? undefined : bytesOf(body, resolve);
  return {
    method: operation.method,
    path: (await world.pathOf(request)) + (query.length === 0 ? '' : `?${query.join('&')}`),
    headers: {
      ...world.credentialsOf(request.as),
      ...(body?.type === undefined ? {} : { 'content-type': body.type }),
      ...(bytes !== undefined && body?.signed ? signatureOf(bytes) : {}),
      ...request.headers,
    },
    body: bytes,
    chunked: body?.chunked ?? false,
    limitMs: operation.answers.has(504) ? HOST_ANSWER_MS : ANSWER_MS,
  };
}

function bytesOf({ content }: Body, resolve: Parameters<typeof toJson>[1]): Buffer {
  return 'bytes' in content ? Buffer.from(content.bytes) : Buffer.from(toJson(content.json, resolve));
}

const agent = new Agent({ keepAlive: true, maxSockets: 32 });

/** @param fresh uses a new connection @throws without an answer within the time limit, or when the connection breaks */
export function send(url: string, { method, path, headers, body, chunked, limitMs }: Sent, fresh = false): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const length = body === undefined || chunked ? {} : { 'content-length': String(body.length) };
    const request = httpRequest({ hostname, port, method, path, agent: fresh ? false : agent, headers: { ...length, ...headers } });
    const late = setTimeout(() => request.destroy(new Error(`no answer within ${limitMs} ms`)), limitMs);
    request.once('close', () => clearTimeout(late));
    request.once('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const { statusCode, headers: answered } = response;
        try {
          resolve({ status: statusCode ?? 0, headers: answered, body: unpacked(Buffer.concat(chunks), answered['content-encoding']) });
        } catch (error) {
          reject(error);
        }
      });
    });
    if (chunked) request.setHeader('transfer-encoding', 'chunked');
    if (chunked && body !== undefined && body.length > 2) request.write(body.subarray(0, body.length >> 1));
    request.end(chunked && body !== undefined && body.length > 2 ? body.subarray(body.length >> 1) : body);
  });
}

/** Answers to HEAD name an encoding and have no body. @throws when the body is not in the encoding that the answer names */
function unpacked(body: Buffer, encoding: string | undefined): Buffer {
  if (body.length === 0) return body;
  if (encoding === 'gzip') return gunzipSync(body);
  return encoding === 'br' ? brotliDecompressSync(body) : body;
}

export function closeConnections(): void {
  agent.destroy();
}

const SHOWN_BYTES = 2_000;

/** The request as a shell command, with only the start of a long body. */
export function curlOf(url: string, { method, path, headers, body, chunked }: Sent): string {
  const parts = ['curl', '-i', '--path-as-is', '-X', method, quoted(url + path)];
  for (const [name, value] of Object.entries(headers)) parts.push('-H', quoted(value === '' ? `${name};` : `${name}: ${value}`));
  if (chunked) parts.push('-H', quoted('transfer-encoding: chunked'));
  if (body !== undefined) parts.push('--data-binary', quoted(body.subarray(0, SHOWN_BYTES).toString('latin1')));
  const cut = body !== undefined && body.length > SHOWN_BYTES ? ` # … ${body.length} bytes in all` : '';
  return parts.join(' ') + cut;
}

function quoted(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text) && !text.includes("'")) return `'${text}'`;
  const escaped = text
    .replace(/[\\']/g, '\\$&')
    .replace(/[^\x20-\x7e]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return `$'${escaped}'`;
}
