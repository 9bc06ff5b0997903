import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Db } from '../../src/db/connect.ts';
import { newId } from '../../src/ids.ts';
import { confirmEarly } from '../../src/report/confirmations.ts';

/** The log lines when the write of an early answered step fails with `error`. */
async function loggedAfter(error: Error): Promise<{ level: number; msg: string; deviceId: string }[]> {
  const lines: string[] = [];
  const sink = new Writable({
    write: (line, _encoding, done) => {
      lines.push(String(line));
      done();
    },
  });
  const everythingIsWanted = (() => Promise.resolve([{ isThere: true }])) as unknown as Db;
  const early = confirmEarly(everythingIsWanted, { take: () => Promise.reject(error) }, pino({ level: 'debug' }, sink));
  const deploymentId = newId();
  const confirming = {
    kind: 'deployment',
    id: newId(),
    at: new Date().toISOString(),
    deploymentId,
    state: 'confirming',
    runningDigest: null,
  };
  expect(await early.take(newId(), 'd-1', [confirming as never])).toEqual([deploymentId]);
  await early.close();
  return lines.map((line) => JSON.parse(line));
}

const message = 'failed to write steps of a deployment; the next report of the device replaces them';

test('steps that cannot be written after their answer are logged as an error', async () => {
  expect(await loggedAfter(new Error('a defect'))).toMatchObject([{ level: 50, msg: message, deviceId: 'd-1' }]);
});

test('steps lost during an outage of the database are logged for debugging only, since its watch reports the outage', async () => {
  const away = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
  expect(await loggedAfter(away)).toMatchObject([{ level: 20, msg: message, deviceId: 'd-1' }]);
});

test('close() waits for a write that the timer has started', async () => {
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<string[]>();
  const everythingIsWanted = (() => Promise.resolve([{ isThere: true }])) as unknown as Db;
  const take = () => {
    begun.resolve();
    return gate.promise;
  };
  const early = confirmEarly(everythingIsWanted, { take }, pino({ level: 'silent' }), 1);
  const report = { kind: 'deployment', id: newId(), at: '', deploymentId: newId(), state: 'confirming', runningDigest: null };
  await early.take(newId(), 'd-1', [report as never]);
  await begun.promise;
  let isClosed = false;
  const closing = early.close().then(() => {
    isClosed = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isClosed).toBe(false);
  gate.resolve([]);
  await closing;
});
