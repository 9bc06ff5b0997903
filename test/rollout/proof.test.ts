import { describe, expect, test } from 'vitest';
import { spentBudget } from '../../src/rollout/decide/gates.ts';
import { at, brief, NOW, planned, type Shown, snapshot } from './snapshots.ts';

/** A rollout whose canary cannot start: the steps of `plan` before other devices start. */
const canary = { name: 'canary', devices: ['till-1'] };
const tolerant = { max: 9 };
const shown = (over: Shown): Shown => ({ policy: { waves: [canary], errorBudget: tolerant }, eligible: { total: 9 }, ...over });
const out = (...why: NonNullable<NonNullable<Shown['evidence']>['out']>) => ({ out: why, outTotal: why.length });

describe('a wave without a success', () => {
  test('waits for an operator, and names each device with the reason', () => {
    const evidence = { members: 2, same: 0, kept: 1, ...out({ deviceId: 'till-1', why: 'held' }, { deviceId: 'till-x', why: 'unknown' }) };
    expect(planned(shown({ evidence }))).toEqual({
      do: 'wait',
      why: {
        code: 'no_success',
        detail:
          'no device of canary has succeeded: till-1 is held, till-x is no device of this source. Fix that, or skip the wave to continue without a success',
      },
      until: null,
    });
  });

  test.each([
    ['held or stopped', { evidence: { same: 0, kept: 1 } }],
    ['held, beside one that the revision leaves alone', { evidence: { same: 1, kept: 1 } }],
    ['unknown', { evidence: { members: 1, same: 0 } }],
    ['of no label that a device has', { policy: { waves: [{ selector: { ring: 'canry' } }] }, evidence: { members: 0, same: 0 } }],
    ['in quarantine', { quarantined: { 0: 1 } }],
    ['failed, and its gate and budget allow it', { waves: [{ failed: 1 }] }],
    ['offline beyond the grace period', { waves: [{ openedAt: at(-999) }], eligible: { total: 9, away: 1 } }],
    ['of a share, and everybody is held', { policy: { waves: [{ count: 2 }] }, evidence: { kept: 5 } }],
  ])('that is %s asks', (_name, over: Shown) => {
    expect(brief(shown(over))).toBe('wait: no_success');
  });

  test.each([
    ['the revision leaves alone', { evidence: { same: 1 } }],
    ['of a share with nobody to change', { policy: { waves: [{ count: 2 }] }, evidence: { same: 0 } }],
    [
      'of a share that earlier waves reached',
      { policy: { waves: [canary, { upToPercent: 10 }] }, waves: [{ succeeded: 5, passedAt: NOW }], evidence: { kept: 5 } },
    ],
  ])('that %s passes', (_name, over: Shown) => {
    expect(brief(shown(over))).toMatch(/^pass_wave/);
  });

  test('waits for attempts of another rollout on its devices', () => {
    expect(planned(shown({ evidence: { same: 0, elsewhere: 1 } }))).toMatchObject({ do: 'wait', why: { code: 'under_way' }, until: at(5) });
  });

  test('does not block a rollout when no device waits for the revision', () => {
    expect(brief(shown({ eligible: {}, evidence: { same: 0 } }))).toBe('complete');
    expect(brief(shown({ eligible: {}, kept: 3, evidence: { same: 0, kept: 1 } }))).toBe('wait: no_success');
  });

  test('blocks nothing if it is the last wave', () => {
    expect(brief({ waves: [{ failed: 3 }], evidence: { same: 0, kept: 3 } })).toBe('pass_wave 0');
  });
});

describe('devices in quarantine', () => {
  const quarantined = { 0: 1 };

  test('fail the gate of their wave and spend the budget before any device starts', () => {
    expect(planned(shown({ quarantined, policy: { waves: [{ ...canary, gate: { success: 100 } }], errorBudget: tolerant } }))).toEqual({
      do: 'abort',
      code: 'gate_failed',
      detail:
        '0 of 1 devices of canary succeeded (0 %), its gate requires 100 %; 1 is in quarantine for this bundle since an earlier attempt',
      revert: false,
    });
    expect(planned(shown({ quarantined, policy: { waves: [canary] } }))).toMatchObject({
      do: 'abort',
      code: 'error_budget',
      detail: '1 of 1 devices failed (100 %), the error budget is 10%; 1 of them is in quarantine for this bundle since an earlier attempt',
    });
  });

  test('fill the places of a share first, and do not count in later waves', () => {
    const policy = { waves: [{ count: 2 }, { count: 10 }], errorBudget: tolerant };
    expect(brief({ policy, eligible: { reachable: 9 }, quarantined: { [-1]: 1 } })).toBe('open_wave 0: 1');
    expect(brief({ policy, eligible: { reachable: 9 }, quarantined: { [-1]: 5 } })).toBe('wait: no_success');
    expect(brief({ policy, eligible: { reachable: 9 }, quarantined: { [-1]: 5 }, waves: [{ passedAt: NOW }] })).toBe('open_wave 1: 7');
    const later = { waves: [canary, { devices: ['till-2'] }], errorBudget: { max: 0 } };
    expect(brief({ policy: later, eligible: { reachable: 1 }, quarantined: { 1: 1 } })).toBe('open_wave 0: 1');
  });

  test('spend a share only when the other devices of the wave cannot compensate for them', () => {
    const spent = (over: Shown) =>
      spentBudget(snapshot({ policy: { waves: [canary], errorBudget: { max: '10%' } }, quarantined, ...over }), false);
    expect(spent({ eligible: { reachable: 20 } })).toBeNull();
    expect(spent({ eligible: { reachable: 5 } })).toMatch(/^1 of 6 devices failed \(16.67 %\)/);
    expect(spent({ waves: [{ open: 20 }] })).toBeNull();
    expect(spent({ waves: [{ succeeded: 5, open: 2 }] })).not.toBeNull();
  });
});
