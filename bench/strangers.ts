import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { z } from 'zod';
import { mintToken } from '../src/crypto/tokens.ts';
import { note, report, round } from './support/numbers.ts';
import { cpuSeconds, memoryMb } from './support/processes.ts';
import { openStack, type Stack } from './support/stack.ts';
import { TARGETS } from './support/targets.ts';

type TestRequest = { method: 'GET' | 'POST'; path: string; headers: Record<string, string>; body?: string };

const LONG = 'x'.repeat(4_000);
/** One request of each kind that needs no valid credentials. Each call makes a different one. */
const REQUESTS: readonly (() => TestRequest)[] = [
  () => ({ method: 'POST', path: `/hooks/${randomUUID()}${LONG}`, headers: {}, body: '{}' }),
  () => ({ method: 'POST', path: `/hooks/${randomUUID()}`, headers: {}, body: '{}' }),
  () => ({ method: 'GET', path: '/api/v1/devices', headers: { authorization: `Bearer ${mintToken('token')}` } }),
  () => ({ method: 'GET', path: '/agent/v1/desired', headers: { 'x-device-id': randomUUID(), 'x-api-key': mintToken('device') } }),
  () => ({
    method: 'POST',
    path: '/agent/v1/enroll',
    headers: { authorization: `Bearer ${mintToken('enrolment')}`, 'content-type': 'application/json' },
    body: '{}',
  }),
  () => ({ method: 'GET', path: `/${randomUUID()}/${LONG}`, headers: {} }),
  () => ({ method: 'GET', path: '/docs/app.js', headers: {} }),
];

/** Opens a session, which costs many times as much as another request. One in 32 requests is enough to reach the limit of open sessions. */
const SESSION: TestRequest = { method: 'GET', path: '/socket.io/?EIO=4&transport=polling', headers: {} };

function requestOf(n: number): TestRequest {
  const request = n % 32 === 31 ? undefined : REQUESTS[n % REQUESTS.length];
  return request?.() ?? SESSION;
}

/** Measures the memory of the service after a flood of unauthenticated requests. A trusted proxy header gives each request another address. */
export async function benchStrangers(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      /** 200,000 requests. The service collects garbage on a signal, which saves some minutes. */
      quick: { type: 'boolean', default: false },
      requests: { type: 'string' },
      connections: { type: 'string', default: '16' },
      /** Concurrent requests per connection. */
      pipelining: { type: 'string', default: '8' },
      /** Pause after the flood, and after a smaller one before it, which fills caches and compiles code. The service collects garbage once a minute. */
      'rest-seconds': { type: 'string' },
    },
  });
  const requests = z.coerce
    .number()
    .int()
    .min(8)
    .max(10_000_000)
    .parse(values.requests ?? (values.quick ? 200_000 : 1_000_000));
  const connections = z.coerce.number().int().min(1).max(1_000).parse(values.connections);
  const load = { connections, pipelining: z.coerce.number().int().min(1).max(100).parse(values.pipelining) };
  const restMs =
    1_000 *
    z.coerce
      .number()
      .min(0)
      .max(600)
      .parse(values['rest-seconds'] ?? (values.quick ? 5 : 75));
  await using stack = await openStack({ env: { TRUST_PROXY: 'true' }, collects: values.quick, signal });
  const rested = async () => {
    await sleep(restMs, undefined, { signal });
    if (values.quick) {
      process.kill(stack.service.pid, 'SIGUSR2');
      // The answer follows the collection.
      await stack.api.list('/devices', {}, 1);
    }
    return memoryMb(stack.service.pid, 'VmRSS');
  };
  await flood(stack, Math.ceil(requests / 10), load, signal);
  const beforeMb = await rested();
  note(`${requests} requests of strangers`);
  const cpu = await cpuSeconds(stack.service.pid);
  const started = performance.now();
  const statuses = await flood(stack, requests, load, signal);
  const seconds = (performance.now() - started) / 1000;
  const cpuPer1000 = (((await cpuSeconds(stack.service.pid)) - cpu) * 1000) / requests;
  const peakMb = await memoryMb(stack.service.pid, 'VmRSS');
  const afterMb = await rested();
  const served = await stack.api.list('/devices', {}, 1);
  printResults({
    requests,
    ...load,
    seconds: round(seconds, 1),
    beforeMb,
    peakMb,
    afterMb,
    cpuSecondsPer1000: round(cpuPer1000, 3),
    statuses,
    served: served.length,
  });
}

type Load = { connections: number; pipelining: number };

/** Keeps each connection and always has `pipelining` requests in flight, so that sending takes little of the time. */
async function flood({ url }: Stack, requests: number, load: Load, signal: AbortSignal): Promise<Record<string, number>> {
  const pool = new Pool(url, load);
  const statuses: Record<string, number> = {};
  let sent = 0;
  const work = async () => {
    for (let n = sent++; n < requests && !signal.aborted; n = sent++) {
      const { headers, ...asked } = requestOf(n);
      const status = await statusOf(pool, { ...asked, headers: { ...headers, 'x-forwarded-for': addressOf(n) } });
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: load.connections * load.pipelining }, work));
  await pool.close();
  signal.throwIfAborted();
  return statuses;
}

/** Ignores the answer's body. Without `idempotent`, a POST would wait for all earlier requests. */
function statusOf(pool: Pool, asked: TestRequest): Promise<number> {
  return new Promise((resolve, reject) => {
    let status = 0;
    pool.dispatch(
      { ...asked, idempotent: true, blocking: false },
      {
        onRequestStart: () => undefined,
        onResponseStart: (_controller, statusCode) => {
          status = statusCode;
        },
        onResponseData: () => undefined,
        onResponseEnd: () => resolve(status),
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}

/** Half of the requests have one address, the others one network each. */
function addressOf(n: number): string {
  if (n % 16 < 8) return '203.0.113.7';
  return `2001:db8:${randomBytes(4)
    .toString('hex')
    .replace(/(.{4})/, '$1:')}::1`;
}

function printResults(seen: Record<string, unknown> & { requests: number; beforeMb: number; peakMb: number; afterMb: number }): void {
  const grownMb = round(seen.afterMb - seen.beforeMb, 1);
  const rows = [
    { what: 'resident before, at the end of the flood, after a rest', seen: `${seen.beforeMb} · ${seen.peakMb} · ${seen.afterMb} MB` },
    { what: 'grown', seen: `${grownMb} MB`, limit: TARGETS.strangers },
    { what: 'processor of the service per 1,000 requests', seen: `${seen.cpuSecondsPer1000} s` },
    { what: 'answers by status', seen: JSON.stringify(seen.statuses) },
  ];
  report(`${seen.requests} requests without valid credentials`, rows, { bench: 'strangers', ...seen, grownMb });
}
