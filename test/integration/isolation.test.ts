import { expect, test } from 'vitest';
import { Problem } from '../../src/errors.ts';
import { createIsolation, type ObservedCall } from '../../src/integration/isolation.ts';
import { isCircuitOpen } from '../../src/integration/problems.ts';
import type { IntegrationErrorCode } from '../../src/wire/errors.ts';

const signal = AbortSignal.timeout(60_000);
const field = { id: 'field', type: 'shelf', name: 'Field' };
const yard = { id: 'yard', type: 'shelf', name: 'Yard' };
const failing = (code: IntegrationErrorCode) => () => Promise.reject(new Problem(code, 'failed'));
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'ok',
    (error: unknown) => (error instanceof Problem ? error.code : String(error)),
  );

test('a platform that hangs keeps its own slots and delays no other integration', async () => {
  const isolation = createIsolation({ concurrency: 2 });
  const { promise: never, resolve: release } = Promise.withResolvers<string>();
  let started = 0;
  const hang = () => {
    started += 1;
    return never;
  };
  const hanging = Array.from({ length: 3 }, () => isolation.of(field)(hang, signal));
  expect(await isolation.of(yard)(async () => 'answered', signal)).toBe('answered');
  expect(started).toBe(2);
  release('late');
  expect(await Promise.all(hanging)).toEqual(['late', 'late', 'late']);
});

test('a call that waits for a slot ends with its signal', async () => {
  const isolation = createIsolation({ concurrency: 1 });
  const { promise: never, resolve: release } = Promise.withResolvers<void>();
  const first = isolation.of(field)(() => never, signal);
  const giveUp = new AbortController();
  const second = isolation.of(field)(async () => 'ran', giveUp.signal);
  giveUp.abort(new Error('no longer wanted'));
  await expect(second).rejects.toThrow('no longer wanted');
  release();
  await first;
});

test.each(['integration_unreachable', 'integration_timeout', 'integration_server_error', 'integration_unavailable'] as const)(
  'five faults %s in a row open the circuit of this integration alone',
  async (code) => {
    const isolation = createIsolation();
    for (let tried = 1; tried < 5; tried += 1) expect(await codeOf(isolation.of(field)(failing(code), signal))).toBe(code);
    expect(isolation.circuitOf(field.id)).toBe('closed');
    await codeOf(isolation.of(field)(failing(code), signal));
    expect([isolation.circuitOf(field.id), isolation.circuitOf(yard.id), isolation.openCircuits()]).toEqual(['open', 'closed', 1]);
    let sent = 0;
    const refused = isolation.of(field)(async () => {
      sent += 1;
    }, signal);
    const error = await refused.catch((thrown: unknown) => thrown);
    expect([isCircuitOpen(error), sent]).toEqual([true, 0]);
    expect(error).toMatchObject({ code: 'integration_unavailable', message: expect.stringContaining('platform of "Field"') });
    expect(await isolation.of(yard)(async () => 'answered', signal)).toBe('answered');
  },
);

test('a refused request proves that the platform answers, and an aborted one proves nothing', async () => {
  const isolation = createIsolation();
  const fault = () => codeOf(isolation.of(field)(failing('integration_timeout'), signal));
  for (const code of ['integration_not_found', 'integration_unauthorized', 'integration_rate_limited'] as const) {
    for (let tried = 0; tried < 4; tried += 1) await fault();
    expect(await codeOf(isolation.of(field)(failing(code), signal))).toBe(code);
  }
  for (let tried = 0; tried < 4; tried += 1) await fault();
  await codeOf(isolation.of(field)(() => Promise.reject(new DOMException('stopped', 'AbortError')), signal));
  expect(isolation.circuitOf(field.id)).toBe('closed');
  await fault();
  expect(isolation.circuitOf(field.id)).toBe('open');
});

test('after its pause, one trial request closes the circuit, or opens it again', async () => {
  const isolation = createIsolation({ firstPauseMs: 1 });
  for (let tried = 0; tried < 5; tried += 1) await codeOf(isolation.of(field)(failing('integration_timeout'), signal));
  const trial = async (work: () => Promise<string>): Promise<string> => {
    const outcome = await codeOf(isolation.of(field)(work, signal));
    // The pause has not passed yet.
    return outcome === 'integration_unavailable' ? trial(work) : outcome;
  };
  expect(await trial(failing('integration_timeout'))).toBe('integration_timeout');
  expect(isolation.circuitOf(field.id)).toBe('open');
  expect(await trial(async () => 'answered')).toBe('ok');
  expect(isolation.circuitOf(field.id)).toBe('closed');
});

test('new settings or credentials close the circuit for platforms that are open already', async () => {
  const isolation = createIsolation();
  const isolate = isolation.of(field);
  for (let tried = 0; tried < 5; tried += 1) await codeOf(isolate(failing('integration_unreachable'), signal));
  expect(await codeOf(isolate(async () => 'answered', signal))).toBe('integration_unavailable');
  isolation.reset(field.id);
  expect(await isolate(async () => 'answered', signal)).toBe('answered');
});

test('every request that is sent is observed with its outcome', async () => {
  const seen: ObservedCall[] = [];
  const isolation = createIsolation({ observe: (call) => seen.push(call) });
  await isolation.of(field)(async () => 'answered', signal);
  await codeOf(isolation.of(field)(failing('integration_rate_limited'), signal));
  await codeOf(isolation.of(field)(() => Promise.reject(new DOMException('stopped', 'AbortError')), signal));
  await codeOf(isolation.of(field)(() => Promise.reject(new TypeError('a fault of ours')), signal));
  expect(seen.map(({ outcome }) => outcome)).toEqual(['ok', 'rate_limited', 'aborted', 'error']);
  expect(seen.every(({ integration, durationMs }) => integration.id === 'field' && durationMs >= 0)).toBe(true);
});

test.each(['integration_rate_limited', 'integration_unavailable'] as const)(
  'after %s with a long pause, nothing is asked of the platform until it is over, or the integration is changed',
  async (code) => {
    let nowMs = 0;
    const isolation = createIsolation({ now: () => nowMs });
    const asks = (retryAfterSeconds: number) => () => Promise.reject(new Problem(code, 'slow', { retryAfterSeconds }));
    const answered = (integration = field) => codeOf(isolation.of(integration)(async () => 'answered', signal));
    await codeOf(isolation.of(field)(asks(30), signal));
    expect(await answered()).toBe('ok');
    await codeOf(isolation.of(field)(asks(600), signal));
    nowMs = 599_000;
    await expect(isolation.of(field)(async () => 'answered', signal)).rejects.toMatchObject({
      ...{ code: 'integration_rate_limited', retryAfterSeconds: 1 },
    });
    expect(await answered(yard)).toBe('ok');
    nowMs = 600_000;
    expect(await answered()).toBe('ok');
    await codeOf(isolation.of(field)(asks(600), signal));
    isolation.reset(field.id);
    expect(await answered()).toBe('ok');
  },
);
