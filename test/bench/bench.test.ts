import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { COMPILE_CACHE } from '../../src/wire/compile-cache.ts';

const MAIN = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const positive = z.number().positive();
const percentiles = z.object({ p50: positive, p99: positive });

async function bench(...args: string[]): Promise<{ code: number | null; last: unknown; errors: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILE_CACHE },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [output, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  return { code, last: last.startsWith('{') ? JSON.parse(last) : last, errors };
}

test('bench push: every push reaches a real agent, and the last line tells how long it took', async () => {
  const { code, last, errors } = await bench('push', '--pushes', '5', '--hook-seconds', '0.2', '--hook-sources', '2');
  expect(code, errors).toBe(0);
  const shape = z.object({
    bench: z.literal('push'),
    pushes: z.literal(5),
    applied: z.literal(5),
    hooks: z.literal(40),
    pushToAppliedMs: percentiles,
    hookAcceptedMs: percentiles,
  });
  expect(shape.parse(last).pushToAppliedMs.p50).toBeLessThanOrEqual(shape.parse(last).pushToAppliedMs.p99);
});

test('bench poll: every remote was looked at and found unchanged, beside git ls-remote on the same server', async () => {
  const { code, last, errors } = await bench('poll', '--remotes', '20', '--rounds', '2', '--ls-remotes', '5');
  expect(code, errors).toBe(0);
  const shape = z.object({
    bench: z.literal('poll'),
    remotes: z.literal(20),
    applied: z.literal(20),
    ratioToGitLsRemote: positive,
    cpuSecondsPer1000Polls: positive,
  });
  shape.parse(last);
});

test('bench fleet: one commit reaches every simulated device, counted in the database', async () => {
  const { code, last, errors } = await bench('fleet', '--devices', '20');
  expect(code, errors).toBe(0);
  const shape = z.object({
    bench: z.literal('fleet'),
    devices: z.literal(20),
    applied: z.literal(20),
    pushToAllAppliedSeconds: positive,
    serverCpuSeconds: z.number(),
    serverPeakRssMb: z.number(),
  });
  shape.parse(last);
});

test('bench neighbours: every push to a healthy host was prepared while others hung', async () => {
  const { code, last, errors } = await bench('neighbours', '--pushes', '4', '--hung', '4', '--healthy', '2', '--settle-seconds', '0');
  expect(code, errors).toBe(0);
  const shape = z.object({
    bench: z.literal('neighbours'),
    hung: z.literal(4),
    synced: z.literal(12),
    unanswered: positive,
    aloneMs: percentiles,
    laterMs: percentiles,
    ratioLater: percentiles,
  });
  shape.parse(last);
});

test('bench tenants: every push of an organization was prepared, alone and beside a load of another', async () => {
  const { code, last, errors } = await bench('tenants', '--pushes', '2', '--load', 'tokens');
  expect(code, errors).toBe(0);
  const compared = z.object({ what: z.string(), alone: percentiles, beside: percentiles, ratio: percentiles });
  const shape = z.object({ bench: z.literal('tenants'), pushes: z.literal(2), seen: z.array(compared).length(1) });
  shape.parse(last);
});

test('bench poll-devices: every poll was answered as unchanged, beside a bare route in the same run', async () => {
  const { code, last, errors } = await bench('poll-devices', '--devices', '20', '--connections', '4', '--seconds', '0.3');
  expect(code, errors).toBe(0);
  const shape = z.object({
    bench: z.literal('poll-devices'),
    devices: z.literal(20),
    unchanged: z.int().positive(),
    others: z.literal(0),
    pollsPerSecond: positive,
    barePerSecond: positive,
  });
  shape.parse(last);
});

test('bench strangers: every request without valid credentials was refused, and a valid one is served afterwards', async () => {
  const { code, last, errors } = await bench('strangers', '--requests', '400', '--connections', '4', '--rest-seconds', '0');
  expect(code, errors).toBe(0);
  const shape = z.object({
    bench: z.literal('strangers'),
    requests: z.literal(400),
    statuses: z.object({ '401': positive, '404': positive, '429': positive }),
    beforeMb: positive,
    afterMb: positive,
    grownMb: z.number(),
  });
  shape.parse(last);
});

test('an unknown benchmark is refused by name', async () => {
  const { code, errors } = await bench('nonsense');
  expect(code).toBe(1);
  expect(errors).toContain('Cannot run the benchmark "nonsense"');
});
