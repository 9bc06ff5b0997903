import { randomUUID } from 'node:crypto';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Outbox, openOutbox, type SendReports } from '../../agent/server/outbox.ts';
import type { Report } from '../../src/wire/agent.ts';
import { noFault } from '../../src/wire/fault.ts';
import { Problem } from '../../src/wire/problem.ts';

let folder: string;
const opened: { outbox: Outbox; stop: AbortController; ran: Promise<void> }[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bellwether-outbox-'));
});

afterEach(async () => {
  for (const { outbox, stop, ran } of opened.splice(0)) {
    stop.abort();
    await ran;
    await outbox.close();
  }
  await rm(folder, { recursive: true, force: true });
});

const path = () => join(folder, 'outbox.jsonl');

function command(commandId: string): Report {
  return { id: randomUUID(), at: new Date().toISOString(), kind: 'command', commandId, state: 'completed' };
}

function beat(): Report {
  return { id: randomUUID(), at: new Date().toISOString(), kind: 'telemetry', metrics: { load1: 1 } };
}

function step(state: 'delivering' | 'applying' | 'failed'): Report {
  return { id: randomUUID(), at: new Date().toISOString(), kind: 'deployment', deploymentId: 'd1', state, runningDigest: null };
}

async function open(send: SendReports, run = true): Promise<Outbox> {
  const outbox = await openOutbox(path(), send, () => undefined, noFault);
  const stop = new AbortController();
  opened.push({ outbox, stop, ran: run ? outbox.run(stop.signal) : Promise.resolve() });
  return outbox;
}

const never: SendReports = () => Promise.reject(new Problem('unreachable', 'nobody is there'));
const ok = (reports: Report[]) => ({ accepted: reports.length, confirmed: [] });

test('added durable reports are on the disk, and a new process sends them in order', async () => {
  const before = await open(never, false);
  const reports = ['a', 'b', 'c'].map(command);
  await before.add([reports[0]!, beat()]);
  await before.add(reports.slice(1));
  const sent: Report[] = [];
  await appendFile(path(), '{"id":"torn');
  await new Promise<void>((done) => {
    open((batch) => {
      sent.push(...batch);
      if (sent.length === 3) done();
      return Promise.resolve(ok(batch));
    });
  });
  expect(sent).toEqual(reports);
});

test('accepted reports leave the file', async () => {
  const outbox = await open((batch) => Promise.resolve(ok(batch)));
  await outbox.add(['a', 'b'].map(command));
  await expect.poll(() => readFile(path(), 'utf8')).toBe('');
  expect(outbox.waiting).toBe(0);
});

test('a batch has at most 500 reports, and the outbox drops a refused report without a delay for the others', async () => {
  const reports = Array.from({ length: 1203 }, (_, n) => command(`c${n}`));
  const accepted: Report[] = [];
  let largest = 0;
  const outbox = await open((batch) => {
    largest = Math.max(largest, batch.length);
    if (batch.some((report) => report.kind === 'command' && report.commandId === 'c700'))
      return Promise.reject(new Problem('server_refused', 'no', { status: 400 }));
    accepted.push(...batch);
    return Promise.resolve(ok(batch));
  });
  await outbox.add(reports);
  await expect.poll(() => outbox.waiting).toBe(0);
  expect(largest).toBe(500);
  expect(accepted).toEqual(reports.filter((_, n) => n !== 700));
});

test('during an outage of the server, the outbox limits measurements and loses no durable reports', async () => {
  const outbox = await open(never, false);
  await outbox.add([command('kept')]);
  for (let n = 0; n < 1000; n += 1) await outbox.add([beat()]);
  expect(outbox.waiting).toBe(201);
});

test('a report that is added twice waits once', async () => {
  const outbox = await open(never, false);
  const report = command('a');
  await outbox.add([report]);
  await outbox.add([report]);
  expect(outbox.waiting).toBe(1);
});

test('while held, only confirm() sends: all waiting reports, over a new connection', async () => {
  const calls: { kinds: string[]; fresh: boolean }[] = [];
  const outbox = await open((batch, fresh) => {
    calls.push({ kinds: batch.map(({ kind }) => kind), fresh });
    return Promise.resolve({ accepted: batch.length, confirmed: ['d1'] });
  });
  outbox.hold(true);
  const confirming: Report = {
    id: randomUUID(),
    at: new Date().toISOString(),
    kind: 'deployment',
    deploymentId: 'd1',
    state: 'confirming',
    runningDigest: null,
  };
  await outbox.add([command('a'), confirming]);
  expect(await outbox.confirm('d1', AbortSignal.timeout(60_000))).toBe(true);
  expect(calls).toEqual([{ kinds: ['command', 'deployment'], fresh: true }]);
});

test('despite any fault of the server, each durable report reaches it at least once, and first arrivals keep their order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('ok', 'lost answer', 'refused'), { maxLength: 4 }),
      fc.integer({ min: 1, max: 20 }),
      async (behaviour, count) => {
        const reports = Array.from({ length: count }, (_, n) => command(`c${n}`));
        const seen = new Set<string>();
        const plan = [...behaviour];
        const send: SendReports = (batch) => {
          const now = plan.shift() ?? 'ok';
          if (now !== 'refused') for (const { id } of batch) seen.add(id);
          return now === 'ok' ? Promise.resolve(ok(batch)) : Promise.reject(new Problem('unreachable', now, { retryAfterSeconds: 0 }));
        };
        await rm(path(), { force: true });
        const outbox = await openOutbox(path(), send, () => undefined, noFault);
        const stop = new AbortController();
        const ran = outbox.run(stop.signal);
        for (const report of reports) await outbox.add([report]);
        await expect.poll(() => outbox.waiting, { interval: 2, timeout: 60_000 }).toBe(0);
        stop.abort();
        await ran;
        await outbox.close();
        expect([...seen]).toEqual(reports.map(({ id }) => id));
      },
    ),
    { numRuns: 25 },
  );
});

test('steps that are not urgent wait for the next one; urgent reports do not wait', async () => {
  const sent: string[][] = [];
  const outbox = await open((batch) => {
    sent.push(batch.map((report) => (report.kind === 'deployment' ? report.state : report.kind)));
    return Promise.resolve(ok(batch));
  });
  await outbox.add([step('delivering'), beat()]);
  await outbox.add([step('applying')]);
  await outbox.add([step('failed')]);
  await expect.poll(() => sent, { timeout: 60_000 }).toHaveLength(1);
  await outbox.add([step('delivering')]);
  await expect.poll(() => sent, { timeout: 60_000 }).toHaveLength(2);
  expect(sent).toEqual([['delivering', 'telemetry', 'applying', 'failed'], ['delivering']]);
});
