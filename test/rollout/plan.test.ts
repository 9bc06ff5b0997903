import { describe, expect, test } from 'vitest';
import { ROLLOUT_STATES, ROLLOUT_TRANSITIONS, rolloutStatesBefore } from '../../src/rollout/rollout.ts';
import { at, brief, NOW, planned, type Shown } from './snapshots.ts';

describe('all at once', () => {
  test('one wave takes every device, including offline ones', () => {
    expect(planned({ state: 'planned', eligible: { reachable: 7, away: 2 } })).toEqual({
      do: 'open_wave',
      wave: 0,
      limit: null,
      takeAway: true,
    });
    expect(planned({ state: 'planned', eligible: { away: 2 } })).toEqual({ do: 'open_wave', wave: 0, limit: null, takeAway: true });
  });

  test('then waits for the devices, passes and completes, regardless of failures', () => {
    expect(planned({ waves: [{ open: 3, succeeded: 4 }] })).toEqual({
      do: 'wait',
      why: { code: 'under_way', detail: '3 devices of rest are under way' },
      until: null,
    });
    expect(brief({ waves: [{ succeeded: 6, failed: 1 }] })).toBe('pass_wave 0');
    expect(brief({ waves: [{ succeeded: 6, failed: 1, passedAt: NOW }] })).toBe('complete');
  });

  test('completes at once without devices to change', () => {
    expect(brief({ state: 'planned' })).toBe('complete');
    expect(brief({ state: 'planned', policy: { waves: [{ count: 3 }], approval: { beforeRollout: true } } })).toBe('complete');
  });

  test('does not wait for offline devices', () => {
    expect(brief({ waves: [{ offline: 5 }] })).toBe('pass_wave 0');
    expect(brief({ waves: [{ offline: 5, passedAt: NOW }] })).toBe('complete');
  });

  test('a late joiner starts with the open wave', () => {
    expect(brief({ waves: [{ open: 2 }], eligible: { reachable: 1 } })).toBe('open_wave 0: all');
  });
});

describe('waves', () => {
  const canaries = { waves: [{ selector: { ring: 'canary' }, name: 'canaries' }, { count: 3 }, { upToPercent: 50 }] };
  const passed = { passedAt: NOW };

  test('each wave takes its online devices, and the last one takes the rest', () => {
    const eligible = { total: 10, reachable: 4, away: 3 };
    expect(planned({ policy: canaries, eligible })).toEqual({ do: 'open_wave', wave: 0, limit: 4, takeAway: false });
    expect(brief({ policy: canaries, eligible, waves: [{ succeeded: 1, ...passed }] })).toBe('open_wave 1: 3');
    const waves = [passed, passed, { succeeded: 2, ...passed }];
    expect(brief({ policy: canaries, eligible, waves: waves.slice(0, 2) })).toBe('open_wave 2: 4');
    expect(planned({ policy: canaries, eligible, waves })).toEqual({ do: 'open_wave', wave: 3, limit: null, takeAway: true });
  });

  test('the next wave opens after this one passed', () => {
    expect(brief({ policy: canaries, waves: [{ open: 1 }], eligible: { total: 9 } })).toBe('wait: under_way');
    expect(brief({ policy: canaries, waves: [{ succeeded: 1 }], eligible: { total: 9 } })).toBe('pass_wave 0');
  });

  test('a wave without devices passes without being opened', () => {
    expect(brief({ policy: canaries, eligible: { total: 9 } })).toBe('pass_wave 0');
    const waves = [
      { succeeded: 6, ...passed },
      { succeeded: 3, ...passed },
    ];
    expect(brief({ policy: canaries, waves, eligible: { total: 5, reachable: 5 } })).toBe('pass_wave 2');
  });

  test('a wave of offline devices is recorded as open, so that its grace period begins', () => {
    const away = { policy: { ...canaries, offlineGraceSeconds: 90 }, eligible: { total: 9, away: 2 } };
    expect(planned(away)).toEqual({ do: 'open_wave', wave: 0, limit: 0, takeAway: false });
    expect(planned({ ...away, waves: [{}] })).toEqual({
      do: 'wait',
      why: { code: 'offline_grace', detail: '2 devices of canaries are offline' },
      until: at(30),
    });
    expect(brief({ ...away, waves: [{ openedAt: at(-90) }] })).toBe('wait: no_success');
    expect(brief({ ...away, waves: [{ openedAt: at(-90), succeeded: 1 }] })).toBe('pass_wave 0');
  });

  test('the grace period includes devices that went offline after their start, but no more than the wave may take', () => {
    const policy = { waves: [{ count: 2 }], offlineGraceSeconds: 90 };
    expect(planned({ policy, waves: [{ succeeded: 1, offline: 1 }] })).toMatchObject({
      why: { code: 'offline_grace', detail: '1 devices of wave 1 are offline' },
    });
    expect(brief({ policy, waves: [{ succeeded: 2 }], eligible: { away: 5 } })).toBe('pass_wave 0');
    expect(planned({ policy, waves: [{ succeeded: 1 }], eligible: { away: 5 } })).toMatchObject({
      why: { detail: '1 devices of wave 1 are offline' },
    });
  });

  test('the default grace period is two minutes, and none in the last wave', () => {
    const policy = { waves: [{ count: 2 }] };
    expect(planned({ policy, waves: [{ offline: 2 }] })).toMatchObject({ why: { code: 'offline_grace' }, until: at(60) });
    expect(brief({ policy, waves: [passed, { offline: 2 }] })).toBe('pass_wave 1');
  });

  test('a failed gate ends the rollout, one that depends on offline devices waits', () => {
    const policy = { waves: [{ count: 3, gate: { minSucceeded: 2 } }], errorBudget: { max: 9 }, offlineGraceSeconds: 0 };
    expect(brief({ policy, waves: [{ succeeded: 1, failed: 1 }], eligible: { away: 1 } })).toBe('wait: gate');
    expect(brief({ policy, waves: [{ succeeded: 1, failed: 1, offline: 1 }], eligible: { away: 1 } })).toBe('wait: gate');
    expect(brief({ policy, waves: [{ succeeded: 1, failed: 2 }], eligible: { away: 1 } })).toBe('abort: gate_failed');
  });

  test('completes when no device is left before the last wave', () => {
    expect(brief({ policy: canaries, waves: [{ succeeded: 4, ...passed }] })).toBe('complete');
  });

  test('after a skipped wave the next one opens, and the end waits for attempts under way', () => {
    const policy = { waves: [{ count: 2 }] };
    expect(brief({ policy, waves: [{ open: 2, ...passed }], eligible: { reachable: 3 } })).toBe('open_wave 1: all');
    expect(brief({ policy, waves: [{ open: 2, ...passed }] })).toBe('wait: under_way');
    expect(brief({ policy, waves: [{ open: 1, ...passed }, passed], eligible: { reachable: 3 } })).toBe('wait: under_way');
    expect(brief({ policy, waves: [{ failed: 0, succeeded: 2, ...passed }, passed], eligible: { reachable: 3 } })).toBe('complete');
  });
});

describe('reasons not to start devices', () => {
  const night = { windows: { timeZone: 'UTC', allow: [{ cron: '0 22 * * *', durationMinutes: 60 }] } };
  const eligible = { reachable: 3 };

  test('a closed window, until it opens', () => {
    expect(planned({ policy: night, eligible })).toEqual({
      do: 'wait',
      why: { code: 'window_closed', detail: 'outside the allowed windows; the next opens at 2026-03-02 22:00 UTC' },
      until: at(36_000),
    });
    const noon = { windows: { timeZone: 'UTC', allow: [{ cron: '0 12 * * *', durationMinutes: 60 }] } };
    expect(brief({ policy: noon, eligible })).toBe('open_wave 0: all');
  });

  test('no closed window after an operator overrode it', () => {
    expect(brief({ policy: night, eligible, windowsOverridden: true })).toBe('open_wave 0: all');
  });

  test('a hold or another source, of which the first is named, even with overridden windows', () => {
    const blockers = [
      { code: 'source_held', detail: 'the source is held by ann: audit' },
      { code: 'dependency', detail: 'it comes after base' },
    ];
    expect(planned({ eligible, blockers, windowsOverridden: true })).toEqual({ do: 'wait', why: blockers[0], until: null });
  });

  test('these reasons also keep a wave of offline devices from opening', () => {
    const away = { policy: { ...night, maxParallel: 1 }, eligible: { away: 3 } };
    expect(brief(away)).toBe('wait: window_closed');
    expect(brief({ ...away, blockers: [{ code: 'source_held', detail: '' }] })).toBe('wait: source_held');
  });

  test('these reasons delay neither a finished wave nor the end', () => {
    const shut = { policy: night, blockers: [{ code: 'source_held', detail: '' }] };
    expect(brief({ ...shut, waves: [{ succeeded: 3 }] })).toBe('pass_wave 0');
    expect(brief({ ...shut, waves: [{ open: 3 }] })).toBe('wait: under_way');
    expect(brief({ ...shut, policy: { ...night, errorBudget: { max: 0 } }, waves: [{ failed: 1 }] })).toBe('abort: error_budget');
  });

  test('a pause, regardless of other changes', () => {
    const shown = { state: 'paused' as const, policy: { errorBudget: { max: 0 } }, waves: [{ failed: 3 }], queued: 2, eligible };
    expect(planned(shown)).toEqual({ do: 'wait', why: { code: 'paused', detail: 'an operator paused it' }, until: null });
  });
});

describe('ends', () => {
  test('an abort reverts as the policy requires, unless no wave was opened', () => {
    const spent = (onAbort: 'revert' | 'stop' | undefined) =>
      planned({ policy: { errorBudget: { max: 0 }, ...(onAbort && { onAbort }) }, waves: [{ failed: 1 }] });
    expect([spent(undefined), spent('revert'), spent('stop')].map((step) => step.do === 'abort' && step.revert)).toEqual([
      true,
      true,
      false,
    ]);
    const approvals = [{ decision: 'rejected' as const }];
    expect(planned({ policy: { approval: { beforeRollout: true } }, approvals, eligible: { reachable: 1 } })).toMatchObject({
      code: 'rejected',
      revert: false,
    });
  });

  test('a device with a superseded attempt is reverted, too, if its desired bundle is the aborted one', () => {
    const policy = { waves: [{ devices: ['a'] }, { count: 1, approval: true }] };
    const shown = {
      policy,
      waves: [{ passedAt: NOW }],
      approvals: [{ wave: 1, decision: 'rejected' as const }],
      eligible: { reachable: 1 },
    };
    expect(planned(shown)).toMatchObject({ do: 'abort', revert: true });
  });

  test('a revert ends when all online devices are reverted', () => {
    expect(planned({ state: 'reverting', reverting: 1, queued: 1 })).toMatchObject({
      do: 'wait',
      why: { code: 'reverting', detail: '1 devices are being reverted' },
    });
    expect(brief({ state: 'reverting', reverting: 0 })).toBe('finish_revert');
  });

  test.each(['aborted', 'reverted', 'superseded'] as const)('cancels attempts that no device has begun once it is %s', (state) => {
    const eligible = { reachable: 3 };
    expect(brief({ state, queued: 1, eligible })).toBe('cancel_queued');
    expect(planned({ state, queued: 0, eligible, waves: [{ open: 3 }] })).toEqual({
      do: 'wait',
      why: { code: 'ended', detail: `it is ${state}` },
      until: null,
    });
  });

  test('a completed rollout starts added and returning devices within its limits and windows, without gates and approvals', () => {
    const policy = { waves: [{ count: 1, approval: true }], maxParallel: 3, gate: { success: 100 }, approval: { beforeRollout: true } };
    const completed: Shown = {
      state: 'completed',
      policy,
      waves: [
        { failed: 5, passedAt: NOW },
        { open: 1, passedAt: NOW },
      ],
      eligible: { reachable: 9, away: 1 },
    };
    expect(planned(completed)).toEqual({ do: 'open_wave', wave: 1, limit: 2, takeAway: false });
    expect(brief({ ...completed, policy: { ...policy, maxParallel: 1 } })).toBe('wait: max_parallel');
    const rated = { ...policy, rate: { perMinute: 1 } };
    expect(planned({ ...completed, policy: rated, startedLastMinute: { count: 1, firstAt: at(-10) } })).toMatchObject({
      why: { code: 'rate' },
      until: at(50),
    });
    expect(brief({ ...completed, blockers: [{ code: 'source_held', detail: '' }] })).toBe('wait: source_held');
    const night = { windows: { timeZone: 'UTC', allow: [{ cron: '0 22 * * *', durationMinutes: 60 }] } };
    expect(brief({ ...completed, policy: night })).toBe('wait: window_closed');
  });

  test('a completed rollout never aborts', () => {
    const stuck = {
      policy: { maxUnavailable: 1 },
      waves: [{ failed: 1, lastEndedAt: at(-999), passedAt: NOW }],
      unavailable: 1,
      eligible: { reachable: 2 },
    };
    expect(brief(stuck)).toBe('complete');
    expect(brief({ ...stuck, state: 'completed' })).toBe('wait: ended');
    expect(brief({ state: 'completed' })).toBe('wait: ended');
  });
});

test('rolloutStatesBefore is the inverse of the transition table', () => {
  for (const from of ROLLOUT_STATES)
    for (const to of ROLLOUT_STATES) expect(rolloutStatesBefore(to).includes(from)).toBe(ROLLOUT_TRANSITIONS[from].includes(to));
});
