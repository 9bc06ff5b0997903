import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { z } from 'zod';
import { mintToken } from '../src/tokens.ts';
import { report, round, say } from './support/numbers.ts';
import { cpuSeconds, memoryMb } from './support/processes.ts';
import { openStack, type Stack } from './support/stack.ts';
import { TARGETS } from './support/targets.ts';

type Asked = { method: 'GET' | 'POST'; path: string; headers: Record<string, string>; body?: string };

const LONG = 'x'.repeat(4_000);
/** One of each kind that a stranger may send to a door, never twice the same. */
const DOORS: readonly (() => Asked)[] = [
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
  () => ({ method: 'GET', path: '/socket.io/?EIO=4&transport=polling', headers: {} }),
  () => ({ method: 'GET', path: '/docs/app.js', headers: {} }),
];

/** What a flood of strangers leaves in the memory of the service. Behind a trusted proxy, so that each request may come from another address. */
export async function benchStrangers(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      requests: { type: 'string', default: '1000000' },
      connections: { type: 'string', default: '50' },
      /** After the flood, and before it after a smaller one that fills caches and compiles code. The service collects garbage once a minute. */
      'rest-seconds': { type: 'string', default: '75' },
    },
  });
  const requests = z.coerce.number().int().min(8).max(10_000_000).parse(values.requests);
  const connections = z.coerce.number().int().min(1).max(1_000).parse(values.connections);
  const restMs = 1_000 * z.coerce.number().min(0).max(600).parse(values['rest-seconds']);
  await using stack = await openStack({ env: { TRUST_PROXY: 'true' }, signal });
  const rested = async () => {
    await sleep(restMs, undefined, { signal });
    return memoryMb(stack.service.pid, 'VmRSS');
  };
  await flood(stack, Math.ceil(requests / 10), connections, signal);
  const beforeMb = await rested();
  say(`${requests} requests of strangers`);
  const cpu = await cpuSeconds(stack.service.pid);
  const started = performance.now();
  const statuses = await flood(stack, requests, connections, signal);
  const seconds = (performance.now() - started) / 1000;
  const cpuPer1000 = (((await cpuSeconds(stack.service.pid)) - cpu) * 1000) / requests;
  const peakMb = await memoryMb(stack.service.pid, 'VmRSS');
  const afterMb = await rested();
  const served = await stack.api.list('/devices', {}, 1);
  tell({
    requests,
    connections,
    seconds: round(seconds, 1),
    beforeMb,
    peakMb,
    afterMb,
    cpuSecondsPer1000: round(cpuPer1000, 3),
    statuses,
    served: served.length,
  });
}

async function flood({ url }: Stack, requests: number, connections: number, signal: AbortSignal): Promise<Record<string, number>> {
  const pool = new Pool(url, { connections });
  const statuses: Record<string, number> = {};
  let sent = 0;
  const work = async () => {
    for (let n = sent++; n < requests && !signal.aborted; n = sent++) {
      const door = DOORS[n % DOORS.length];
      if (door === undefined) return;
      const { headers, ...asked } = door();
      const { statusCode, body } = await pool.request({ ...asked, headers: { ...headers, 'x-forwarded-for': addressOf(n) } });
      await body.dump();
      statuses[statusCode] = (statuses[statusCode] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, work));
  await pool.close();
  signal.throwIfAborted();
  return statuses;
}

/** Half of them one address, the others each another network. */
function addressOf(n: number): string {
  if (n % 16 < 8) return '203.0.113.7';
  return `2001:db8:${randomBytes(4)
    .toString('hex')
    .replace(/(.{4})/, '$1:')}::1`;
}

function tell(seen: Record<string, unknown> & { requests: number; beforeMb: number; peakMb: number; afterMb: number }): void {
  const grownMb = round(seen.afterMb - seen.beforeMb, 1);
  const rows = [
    { what: 'resident before, at the end of the flood, after a rest', seen: `${seen.beforeMb} · ${seen.peakMb} · ${seen.afterMb} MB` },
    { what: 'grown', seen: `${grownMb} MB`, limit: TARGETS.strangers },
    { what: 'processor of the service per 1,000 requests', seen: `${seen.cpuSecondsPer1000} s` },
    { what: 'answers by status', seen: JSON.stringify(seen.statuses) },
  ];
  report(`${seen.requests} requests without valid credentials`, rows, { bench: 'strangers', ...seen, grownMb });
}
