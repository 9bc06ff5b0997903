import { describe, expect, test } from 'vitest';
import { at, brief, NOW, planned, type Shown } from './snapshots.ts';

const both = { approval: { beforeRollout: true, expiresAfterSeconds: 600 }, waves: [{ count: 2, name: 'canaries', approval: true }] };
const asked = (shown: Shown) => brief({ policy: both, eligible: { reachable: 5 }, ...shown });
const approved = { decision: 'approved' as const };

describe('approvals', () => {
  test('requests approval of the rollout, then of the wave, and then opens the wave', () => {
    expect(asked({ state: 'planned' })).toBe('request_approval rollout');
    expect(asked({ approvals: [approved] })).toBe('request_approval 0');
    expect(asked({ approvals: [approved, { wave: 0, ...approved }] })).toBe('open_wave 0: 2');
  });

  test('opens a wave without a request if the policy requires none', () => {
    const policy = { waves: [{ count: 2 }, { count: 2, approval: true }] };
    expect(asked({ policy })).toBe('open_wave 0: 2');
    const passed = [{ succeeded: 2, passedAt: NOW }];
    expect(asked({ policy, waves: passed })).toBe('request_approval 1');
    expect(asked({ policy, waves: passed, approvals: [{ wave: 0, ...approved }] })).toBe('request_approval 1');
  });

  test('waits for an answer until the request expires', () => {
    expect(planned({ policy: both, state: 'awaiting_approval', eligible: { reachable: 5 }, approvals: [{ expiresAt: at(600) }] })).toEqual({
      do: 'wait',
      why: { code: 'awaiting_approval', detail: 'the rollout awaits approval' },
      until: at(600),
    });
    const pending = planned({ policy: both, eligible: { reachable: 5 }, approvals: [approved, { wave: 0 }] });
    expect(pending).toEqual({ do: 'wait', why: { code: 'awaiting_approval', detail: 'canaries awaits approval' }, until: null });
  });

  test('an expired or rejected request ends the rollout', () => {
    expect(asked({ approvals: [{ expiresAt: NOW }] })).toBe('abort: approval_expired');
    expect(asked({ approvals: [{ decision: 'expired' }] })).toBe('abort: approval_expired');
    expect(asked({ approvals: [{ decision: 'rejected', expiresAt: at(60) }] })).toBe('abort: rejected');
    expect(asked({ approvals: [approved, { wave: 0, decision: 'rejected' }] })).toBe('abort: rejected');
  });

  test('an unused approval expires and is requested again; the newest answer counts', () => {
    const lapsed = { ...approved, expiresAt: NOW };
    expect(asked({ approvals: [{ ...approved, expiresAt: at(1) }] })).toBe('request_approval 0');
    expect(asked({ approvals: [lapsed] })).toBe('request_approval rollout');
    expect(asked({ approvals: [lapsed, { expiresAt: at(60) }] })).toBe('wait: awaiting_approval');
    expect(asked({ approvals: [approved, { wave: 0, ...lapsed }] })).toBe('request_approval 0');
    expect(asked({ approvals: [lapsed, approved] })).toBe('request_approval 0');
  });

  test('an open wave has used its approval, and a started device that of the rollout', () => {
    const lapsed = [
      { ...approved, expiresAt: at(-1) },
      { wave: 0, ...approved, expiresAt: at(-1) },
    ];
    expect(asked({ approvals: lapsed, waves: [{}] })).toBe('open_wave 0: 2');
    expect(asked({ approvals: lapsed, waves: [{ succeeded: 2, passedAt: NOW }] })).toBe('open_wave 1: all');
    expect(asked({ approvals: lapsed, waves: [{ passedAt: NOW }] })).toBe('request_approval rollout');
  });

  test('requests no approval when no device is left', () => {
    expect(asked({ eligible: {} })).toBe('complete');
  });

  test('requests approval of a wave without devices, since devices of later waves need it', () => {
    expect(asked({ eligible: { total: 5 } })).toBe('request_approval rollout');
    expect(asked({ eligible: { total: 5 }, approvals: [approved] })).toBe('request_approval 0');
    expect(asked({ eligible: { total: 5 }, approvals: [approved, { wave: 0, ...approved }] })).toBe('pass_wave 0');
  });

  test('requests approval of a wave of offline devices before their grace period begins', () => {
    expect(asked({ eligible: { away: 5 }, approvals: [approved] })).toBe('request_approval 0');
  });

  test('requests approval while windows are closed, so that there is time to answer', () => {
    const policy = { ...both, windows: { timeZone: 'UTC', allow: [{ cron: '0 22 * * *', durationMinutes: 60 }] } };
    expect(asked({ policy })).toBe('request_approval rollout');
    expect(asked({ policy, approvals: [approved, { wave: 0, ...approved }] })).toBe('wait: window_closed');
  });
});
