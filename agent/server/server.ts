import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import {
  type EnrollRequest,
  EnrollResponse,
  INLINE_BYTES,
  INSTANCE_HEADER,
  type Report,
  ReportsResponse,
  SigningKeysResponse,
  splitDesired,
  TimeResponse,
} from '../../src/wire/agent.ts';
import { Problem } from '../../src/wire/problem.ts';
import type { Proxies } from '../../src/wire/proxies.ts';
import { type Connections, type HttpRequest, type HttpResponse, openConnections, readBytes, readText, refusal, send } from './http.ts';

export type Credentials = { deviceId: string; apiKey: string };

export type DesiredAnswer = { etag: string | undefined; serverTime: Date | null } & (
  | { kind: 'unchanged' }
  | { kind: 'changed'; jws: string; archive: Buffer | null }
);

export type BundlePart = { body: IncomingMessage; etag: string | undefined } & (
  | { kind: 'whole' }
  | { kind: 'rest' }
  | { kind: 'complete' }
);

const REQUEST_TIMEOUT_MS = 30_000;
const MAX_DESIRED_BYTES = 4 * 1024 * 1024;
const MAX_ANSWER_BYTES = 1024 * 1024;

/** The routes of `/agent/v1` as functions. Each fails with a Problem whose `retry` and `retryAfterSeconds` decide the next step. */
export type AgentServer = {
  enroll(token: string, request: EnrollRequest, signal: AbortSignal): Promise<z.infer<typeof EnrollResponse>>;
  signingKeys(by: Credentials, signal: AbortSignal): Promise<z.infer<typeof SigningKeysResponse>>;
  time(signal: AbortSignal): Promise<Date>;
  desired(by: Credentials, etag: string | undefined, waitSeconds: number, signal: AbortSignal): Promise<DesiredAnswer>;
  /** `fresh` uses a new connection. It proves that the device can still open connections, not only use an old one. */
  report(by: Credentials, reports: Report[], fresh: boolean, signal: AbortSignal): Promise<ReportsResponse>;
  /** The bundle's bytes after offset `from` if its ETag is still `etag`, otherwise all bytes. */
  bundle(by: Credentials, url: string, from: number, etag: string | undefined, signal: AbortSignal): Promise<BundlePart>;
  close(): void;
};

/** @param instance of this agent, by which the service detects a copy of it */
export function openServer(serverUrl: string, instance: string, proxies?: Proxies): AgentServer {
  const base = new URL(`${serverUrl.replace(/\/+$/, '')}/agent/v1/`);
  const shared = openConnections(true, proxies);
  const call = (
    path: string,
    request: Partial<HttpRequest> & { signal: AbortSignal },
    by?: Credentials,
    connections: Connections = shared,
  ) =>
    send(connections, new URL(path, base), {
      method: 'GET',
      timeoutMs: REQUEST_TIMEOUT_MS,
      ...request,
      headers: { [INSTANCE_HEADER]: instance, ...identify(by), ...request.headers },
    });
  const url = (path: string) => new URL(path, base);
  return {
    async enroll(token, request, signal) {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      return parsed(
        EnrollResponse,
        url('enroll'),
        await call('enroll', { method: 'POST', body: JSON.stringify(request), headers, signal }),
      );
    },
    signingKeys: async (by, signal) => parsed(SigningKeysResponse, url('keys'), await call('keys', { signal }, by)),
    time: async (signal) => new Date((await parsed(TimeResponse, url('time'), await call('time', { signal }))).now),
    async desired(by, etag, waitSeconds, signal) {
      const headers: Record<string, string> = etag === undefined ? {} : { 'if-none-match': etag };
      const timeoutMs = waitSeconds * 1000 + REQUEST_TIMEOUT_MS / 2;
      return desiredAnswer(
        url('desired'),
        await call(`desired?wait=${waitSeconds}&inline=${INLINE_BYTES}`, { headers, timeoutMs, signal }, by),
      );
    },
    async report(by, reports, fresh, signal) {
      const connections = fresh ? openConnections(false, proxies) : shared;
      try {
        const request: Partial<HttpRequest> = {
          method: 'POST',
          body: JSON.stringify({ reports }),
          headers: { 'content-type': 'application/json' },
        };
        return await parsed(ReportsResponse, url('reports'), await call('reports', { ...request, signal }, by, connections));
      } finally {
        if (fresh) connections.close();
      }
    },
    bundle: (by, bundleUrl, from, etag, signal) => requestBundle(shared, base, by, bundleUrl, from, etag, signal),
    close: () => shared.close(),
  };
}

function identify(by: Credentials | undefined): Record<string, string> {
  return by === undefined ? {} : { 'x-device-id': by.deviceId, 'x-api-key': by.apiKey };
}

async function desiredAnswer(url: URL, response: HttpResponse): Promise<DesiredAnswer> {
  const common = { etag: response.headers.etag, serverTime: dateOf(response) };
  if (response.status === 304) {
    response.body.resume();
    return { kind: 'unchanged', ...common };
  }
  if (response.status !== 200) throw await refusal(url, response, new Date());
  return { kind: 'changed', ...splitDesired(await readBytes(url, response, MAX_DESIRED_BYTES)), ...common };
}

function dateOf(response: HttpResponse): Date | null {
  const at = new Date(response.headers.date ?? '');
  return Number.isNaN(at.getTime()) ? null : at;
}

/** Sends the device's key to the service only, never to another origin such as an artifact store. */
async function requestBundle(
  connections: Connections,
  base: URL,
  by: Credentials,
  bundleUrl: string,
  from: number,
  etag: string | undefined,
  signal: AbortSignal,
): Promise<BundlePart> {
  const url = new URL(bundleUrl, base);
  const resume = from > 0 && etag !== undefined;
  const headers: Record<string, string> = {
    ...(url.origin === base.origin ? identify(by) : {}),
    ...(resume ? { range: `bytes=${from}-`, 'if-range': etag } : {}),
  };
  const response = await send(connections, url, { method: 'GET', headers, signal, timeoutMs: REQUEST_TIMEOUT_MS });
  const { body } = response;
  if (response.status === 200) return { kind: 'whole', body, etag: response.headers.etag };
  if (resume && response.status === 206 && response.headers['content-range']?.startsWith(`bytes ${from}-`))
    return { kind: 'rest', body, etag };
  if (resume && response.status === 416) {
    body.resume();
    return { kind: 'complete', body, etag };
  }
  throw await refusal(url, response, new Date());
}

async function parsed<T>(schema: z.ZodType<T>, url: URL, response: HttpResponse): Promise<T> {
  if (response.status < 200 || response.status > 299) throw await refusal(url, response, new Date());
  const text = await readText(url, response, MAX_ANSWER_BYTES);
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Problem('invalid_answer', `Cannot understand the answer of "${url.pathname}"`, { cause });
  }
}
