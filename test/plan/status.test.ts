import { expect, test } from 'vitest';
import { Problem } from '../../src/errors.ts';
import { headlineOf, planStatus } from '../../src/plan/merge-request.ts';
import { postRetrySeconds, readRetrySeconds } from '../../src/plan/post/retry.ts';
import { rolloutStatus } from '../../src/plan/post/rollout-status.ts';
import type { RolloutSnapshot, WaveSnapshot } from '../../src/rollout/decide/snapshot.ts';
import { ROLLOUT_STATES, type Rollout } from '../../src/rollout/rollout.ts';
import type { ErrorCode } from '../../src/wire/errors.ts';

const NOW = new Date('2026-06-01T12:00:00Z');

function statusOf(over: Partial<Rollout>, counts: Partial<WaveSnapshot> = {}) {
  const nobody = { total: 0, reachable: 0, away: 0, room: 0 };
  const policy = { waves: [{ name: 'canary', count: 4 }] };
  const rollout: Rollout = {
    ...{
      organizationId: 'o',
      id: 'r',
      sourceId: 's',
      revisionId: 'v',
      kind: 'revision',
      state: 'running',
      policy,
      reason: null,
      createdBy: 'c',
    },
    ...{ waiting: null, nextLookAt: null, endCode: null, endDetail: null, windowsOverriddenBy: null, version: 1, createdAt: NOW },
    ...{ startedAt: NOW, finishedAt: null, ...over },
  };
  const wave = { openedAt: NOW, passedAt: null, offline: 0, open: 2, succeeded: 1, failed: 1, lastEndedAt: null, ...counts };
  const none = {
    unavailable: 0,
    startedLastMinute: { count: 0, firstAt: null },
    readings: [],
    approvals: [],
    blockers: [],
    queued: 0,
    reverting: 0,
    quarantined: new Map(),
    kept: 0,
    evidence: null,
  };
  const snapshot: RolloutSnapshot = {
    state: rollout.state,
    policy,
    waves: [wave],
    eligible: { ...nobody, total: 6 },
    windowsOverridden: false,
    ...none,
  };
  const { state, description } = rolloutStatus(rollout, snapshot);
  return `${state} ${description}`;
}

test('the status of a rollout shows its numbers, its wave and its blocker', () => {
  const waiting = { code: 'window_closed', detail: 'closed until Monday' };
  expect(statusOf({ state: 'planned', startedAt: null, waiting })).toBe('pending waiting: closed until Monday');
  expect(statusOf({})).toBe('running 1 of 10 devices, canary, 1 failed');
  expect(statusOf({ waiting: { code: 'under_way', detail: '2 devices of canary are under way' } })).toBe(
    'running 1 of 10 devices, canary, 1 failed',
  );
  expect(statusOf({ waiting })).toBe('running 1 of 10 devices, canary, 1 failed: closed until Monday');
  expect(statusOf({ state: 'paused' }, { failed: 0, open: 3 })).toBe('running 1 of 10 devices, canary, paused');
  expect(statusOf({ state: 'awaiting_approval', startedAt: null })).toBe('pending waiting');
});

test('the status of an ended rollout shows its end', () => {
  expect(statusOf({ state: 'completed' }, { succeeded: 9, failed: 0, open: 0, offline: 1 })).toBe(
    'success completed: 9 devices, 1 offline',
  );
  expect(statusOf({ state: 'reverted', endCode: 'error_budget', endDetail: '2 of 4 failed' })).toBe('failure reverted: 2 of 4 failed');
  expect(statusOf({ state: 'superseded' })).toMatch(/^success superseded/);
  for (const state of ROLLOUT_STATES) expect(statusOf({ state })).not.toBe('');
});

test('the status of a refused plan shows its first error', () => {
  const summary = { devices: 3, changed: 2, blocked: 1, invalid: 0, unchanged: 1, folders: 1 };
  const plan = { verdict: 'valid' as const, errors: [], summary, blockers: [{ code: 'window_closed', detail: '', until: null }] };
  expect(headlineOf(plan)).toBe('2 of 3 devices change, 1 blocked; waits: window closed');
  const error = { code: 'c', file: 'f', pointer: '', rule: 'r', message: 'f:1 is wrong' };
  expect(headlineOf({ ...plan, verdict: 'partial', errors: [error] })).toBe('f:1 is wrong');
  expect(planStatus({ verdict: 'partial', isRefused: true, headline: 'f:1 is wrong' })).toMatchObject({
    state: 'failure',
    context: 'plan',
  });
  expect(planStatus({ verdict: 'partial', isRefused: false, headline: '' }).state).toBe('success');
  expect(planStatus({ verdict: 'error', isRefused: true, headline: 'down' }).state).toBe('error');
});

test('temporary faults are retried with growing pauses up to a limit; faults that a user must fix are not', () => {
  const problem = (code: ErrorCode, retryAfterSeconds?: number) => new Problem(code, code, { retryAfterSeconds });
  expect(postRetrySeconds(problem('forge_server_error'), 1, 1)).toBe(5);
  expect(postRetrySeconds(problem('forge_timeout'), 4, 1)).toBe(40);
  expect(postRetrySeconds(problem('forge_rate_limited', 900), 1, 0)).toBe(900);
  expect(postRetrySeconds(problem('forge_rate_limited', 900_000), 1, 0)).toBe(3600);
  expect(postRetrySeconds(problem('forge_forbidden'), 1, 1)).toBeNull();
  expect(postRetrySeconds(problem('forge_server_error'), 15, 1)).toBeNull();
  expect(readRetrySeconds(problem('git_timeout'), 5, 1)).toBe(80);
  expect(readRetrySeconds(problem('git_timeout'), 6, 1)).toBeNull();
  expect(readRetrySeconds(new Problem('git_auth', 'no'), 1, 1)).toBeNull();
});
