import { createServer, type IncomingMessage, type Server, type ServerOptions } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener, RequestError } from '@hono/node-server';
import { messageOf, Problem } from '../errors.ts';
import { newId } from '../ids.ts';
import type { Log } from '../log.ts';
import { problemDocument } from './kit.ts';

/** How long a sender may take, in ms: for the head of a request, for all of it, and between two requests. Node checks them every 5 s. */
const LIMITS: ServerOptions = {
  headersTimeout: 20_000,
  requestTimeout: 60_000,
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 5_000,
};

type Fetch = Parameters<typeof getRequestListener>[0];

/** Makes a server that does not listen yet. It answers input that is no HTTP, too long or too slow with a problem document, and ends the connection. */
export function createHttpServer(fetch: Fetch, hostname: string, log: Log, limits: ServerOptions = LIMITS): Server {
  const errorHandler = (error: unknown) => {
    if (error instanceof RequestError) return answerOf(new Problem('malformed_request', `Cannot read the request: ${error.message}`));
    log.error({ err: error }, `failed to handle a request; it is answered 500: ${messageOf(error)}`);
    return answerOf(new Problem('internal', 'Cannot answer: unexpected error of this service'));
  };
  const server = createServer({ ...limits, shouldUpgradeCallback: isWebSocket }, getRequestListener(fetch, { hostname, errorHandler }));
  server.on('clientError', refuse);
  return server;
}

export function listen(server: Server, at: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.host, () => resolve());
  });
}

/**
 * Accepts upgrades for Socket.IO only. Node would pass every other offer, such as `h2c`, to the same listener, which ends the connection without an
 * answer. RFC 9110, section 7.8, allows a server to ignore an offer and to answer in HTTP/1.1.
 */
function isWebSocket({ url = '', headers }: IncomingMessage): boolean {
  // A base path may precede it.
  return /^[^?#]*\/socket\.io\//.test(url) && headers.upgrade?.toLowerCase() === 'websocket';
}

function answerOf(problem: Problem): Response {
  const requestId = newId();
  const headers = { ...HEADERS, 'x-request-id': requestId };
  return new Response(JSON.stringify(problemDocument(problem, requestId)), { status: problem.status, headers });
}

const HEADERS = { 'content-type': 'application/problem+json', 'x-content-type-options': 'nosniff', connection: 'close' };

/** Answers with a problem document, since Node's own answer would be a bare status line. */
function refuse(error: Error & { code?: string }, socket: Duplex): void {
  if (!(socket instanceof Socket) || !socket.writable || hasBegunToAnswer(socket)) return void socket.destroy(error);
  const problem = problemOf(error.code);
  const requestId = newId();
  const { title, ...rest } = problemDocument(problem, requestId);
  const body = JSON.stringify({ title, ...rest });
  const headers = { ...HEADERS, 'x-request-id': requestId, 'content-length': Buffer.byteLength(body) };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${problem.status} ${title}\r\n${head.join('')}\r\n${body}`);
  socket.destroySoon();
}

function problemOf(code: string | undefined): Problem {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new Problem('headers_too_large', 'Cannot take the request: its headers have more than 16384 bytes');
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW')
    return new Problem('too_large', 'Cannot take the request: its chunk extensions have more than 16384 bytes');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Problem('request_timeout', 'Cannot wait longer for the rest of the request');
  return new Problem('malformed_request', 'Cannot read the request: it is not HTTP/1.1');
}

/** An error must not be written into the middle of an answer. Node keeps the answer that it writes in this field, and checks it in the same way. */
function hasBegunToAnswer(socket: Socket): boolean {
  const answer: unknown = Reflect.get(socket, '_httpMessage');
  return typeof answer === 'object' && answer !== null && 'headersSent' in answer && answer.headersSent === true;
}
