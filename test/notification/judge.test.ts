import { expect, test } from 'vitest';
import { judge } from '../../src/notification/delivery/judge.ts';

const NOW = new Date('2026-03-01T12:00:00Z');
const hours = (count: number) => new Date(NOW.getTime() + count * 3_600_000);

function judged(status: number | null, over: { attempts?: number; failures?: number; expiresAt?: Date; retryAfterSeconds?: number } = {}) {
  const { attempts = 0, failures = 0, expiresAt = hours(24), retryAfterSeconds = null } = over;
  const error = status !== null && status >= 200 && status < 300 ? null : 'not taken';
  const sent = { at: NOW, durationMs: 1, status, error, response: '', retryAfterSeconds };
  return judge(sent, { attempts, expiresAt }, failures, NOW, 0.999_999);
}

test('any 2xx finishes the delivery, 410 disables the notification, everything else is retried', () => {
  for (const status of [200, 201, 202, 204, 299]) expect(judged(status)).toEqual({ do: 'finish' });
  expect(judged(410)).toEqual({ do: 'disable' });
  for (const status of [null, 100, 301, 307, 400, 401, 403, 404, 408, 422, 425, 429, 500, 503, 599])
    expect(judged(status).do).toBe('retry');
});

test('pauses double with every failure in a row up to a limit, and are never shorter than Retry-After', () => {
  const pause = (failures: number, retryAfterSeconds?: number) => {
    const verdict = judged(503, { failures, retryAfterSeconds });
    return verdict.do === 'retry' ? verdict.inSeconds : undefined;
  };
  expect([0, 1, 2, 3].map((failures) => Math.round(pause(failures) ?? 0))).toEqual([5, 10, 20, 40]);
  expect(Math.round(pause(1000) ?? 0)).toBe(1800);
  expect(pause(0, 600)).toBe(600);
  expect(Math.round(pause(5, 1) ?? 0)).toBe(160);
});

test('a delivery fails if it would expire before the next attempt', () => {
  expect(judged(500, { failures: 100, expiresAt: hours(0.4) }).do).toBe('give_up');
  expect(judged(500, { failures: 100, expiresAt: hours(0.6) }).do).toBe('retry');
  expect(judged(429, { retryAfterSeconds: 86_400, expiresAt: hours(23) }).do).toBe('give_up');
});

test('a rejected message does not delay the others for a day', () => {
  for (const status of [400, 413, 415, 422]) {
    expect(judged(status, { attempts: 3 }).do).toBe('retry');
    expect(judged(status, { attempts: 4 }).do).toBe('give_up');
  }
  for (const status of [401, 404, 429, 500, null]) expect(judged(status, { attempts: 50 }).do).toBe('retry');
});
