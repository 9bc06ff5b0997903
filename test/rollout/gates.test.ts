import { describe, expect, test } from 'vitest';
import { judgeAttempts, judgeMetrics, spentBudget } from '../../src/rollout/decide/gates.ts';
import type { MetricReading } from '../../src/rollout/decide/snapshot.ts';
import { at, brief, NOW, planned, type Shown, snapshot } from './snapshots.ts';

const attempts = (gate: object, wave: object, away = 0, evidence: Shown['evidence'] = {}) =>
  judgeAttempts(snapshot({ policy: { gate }, waves: [wave], evidence }), 0, away);

describe('judgeAttempts()', () => {
  test.each([
    [9, 1, 90, 'passed'],
    [9, 1, 91, 'failed'],
    [0, 3, 0, 'passed'],
    [0, 0, 100, 'passed'],
  ])('%i of those that ended succeeded, %i failed: a gate of %i %% is %s', (succeeded, failed, success, is) => {
    expect(attempts({ success }, { succeeded, failed, offline: 5 }, 5).is).toBe(is);
  });

  test('names the measured and the required value', () => {
    expect(attempts({ success: 90 }, { succeeded: 2, failed: 1 })).toEqual({
      is: 'failed',
      code: 'gate_failed',
      detail: '2 of 3 devices of rest succeeded (66.67 %), its gate requires 90 %',
    });
  });

  test('minSucceeded waits for offline devices, and fails without any', () => {
    expect(attempts({ minSucceeded: 3 }, { succeeded: 3, failed: 4 }).is).toBe('passed');
    expect(attempts({ minSucceeded: 3 }, { succeeded: 2, failed: 4 })).toMatchObject({ is: 'failed', code: 'gate_failed' });
    expect(attempts({ minSucceeded: 3 }, { succeeded: 2, failed: 4 }, 1)).toEqual({
      is: 'unknown',
      code: 'gate',
      detail: '2 devices of rest succeeded, its gate requires 3; 1 is offline',
    });
  });

  test('a revision that changes fewer devices than minSucceeded needs all of those, in any state', () => {
    expect(attempts({ minSucceeded: 5 }, { succeeded: 2 }).is).toBe('passed');
    expect(attempts({ minSucceeded: 5 }, { succeeded: 2 }, 1).is).toBe('unknown');
    expect(attempts({ minSucceeded: 5 }, { succeeded: 2, failed: 1 }).is).toBe('failed');
    expect(attempts({ minSucceeded: 5 }, { succeeded: 2 }, 0, { kept: 1 })).toMatchObject({ is: 'unknown', code: 'gate' });
    expect(attempts({ minSucceeded: 5 }, {}).is).toBe('passed');
  });

  test('minSucceeded is never reduced to the size of a small wave or to its remaining devices', () => {
    expect(attempts({ minSucceeded: 5 }, { succeeded: 4 }, 0, { members: 4 })).toEqual({
      is: 'unknown',
      code: 'gate',
      detail: '4 devices of rest succeeded, its gate requires 5; the wave has 4 in all',
    });
    const policy = { waves: [{ count: 1, gate: { minSucceeded: 2 } }] };
    expect(judgeAttempts(snapshot({ policy, waves: [{ succeeded: 1 }] }), 0, 0).is).toBe('unknown');
    const out = [{ deviceId: 'till-2', why: 'held' as const }];
    const held = { policy: { waves: [{ devices: ['till-1', 'till-2'], gate: { minSucceeded: 2 } }] }, waves: [{ succeeded: 1 }] };
    expect(judgeAttempts(snapshot({ ...held, evidence: { members: 2, kept: 1, out, outTotal: 1 } }), 0, 0)).toEqual({
      is: 'unknown',
      code: 'gate',
      detail: '1 device of wave 1 succeeded, its gate requires 2; the wave has 2 in all: till-2 is held',
    });
  });

  test("a wave's own gate overrides the policy's", () => {
    const policy = { gate: { success: 100 }, waves: [{ count: 9, gate: { minSucceeded: 1 } }] };
    const shown = snapshot({
      policy,
      waves: [
        { succeeded: 1, failed: 1, passedAt: NOW },
        { succeeded: 1, failed: 1 },
      ],
    });
    expect([judgeAttempts(shown, 0, 0).is, judgeAttempts(shown, 1, 0).is]).toEqual(['passed', 'failed']);
  });
});

const cpu = (mean: number, max = mean): NonNullable<MetricReading['wave']> => ({ devices: 2, mean, max });
const metrics = (gate: object, reading: Partial<MetricReading> | undefined, wave: object = { succeeded: 2 }) =>
  judgeMetrics(
    snapshot({
      policy: { gate: { metrics: [{ metric: 'cpu', ...gate }] } },
      waves: [wave],
      readings: reading === undefined ? [] : [{ metric: 'cpu', wave: null, control: null, ...reading }],
    }),
    0,
  );

describe('judgeMetrics()', () => {
  test.each([
    [{ max: 80 }, 80, 'passed'],
    [{ max: 80 }, 80.5, 'failed'],
    [{ min: 5 }, 5, 'passed'],
    [{ min: 5 }, 4.5, 'failed'],
    [{ min: 5, max: 80 }, 40, 'passed'],
  ])('absolute: %o with a mean of %d is %s', (gate, mean, is) => {
    expect(metrics(gate, { wave: cpu(mean) }).is).toBe(is);
  });

  test('uses the worst device if the gate requires it', () => {
    expect(metrics({ max: 80 }, { wave: cpu(50, 95) }).is).toBe('passed');
    expect(metrics({ max: 80, over: 'max' }, { wave: cpu(50, 95) })).toEqual({
      is: 'failed',
      code: 'gate_failed',
      detail: 'cpu of 2 devices of rest is 95 (max), its gate allows at most 80',
    });
  });

  test('compares with the devices that are not updated yet', () => {
    const control = { devices: 7, mean: 40 };
    expect(metrics({ maxRatioToControl: 1.5 }, { wave: cpu(60), control }).is).toBe('passed');
    expect(metrics({ maxRatioToControl: 1.5 }, { wave: cpu(60.1), control })).toEqual({
      is: 'failed',
      code: 'gate_failed',
      detail: 'cpu of 2 devices of rest is 60.1 (mean), its gate allows 1.5 times the 40 of the 7 devices not updated yet',
    });
    expect(metrics({ maxRatioToControl: 1.5, max: 50 }, { wave: cpu(60), control }).is).toBe('failed');
  });

  test('without devices to compare with, only the absolute limits count', () => {
    expect(metrics({ maxRatioToControl: 1.5 }, { wave: cpu(99) }).is).toBe('passed');
    expect(metrics({ maxRatioToControl: 1.5, max: 80 }, { wave: cpu(99) }).is).toBe('failed');
  });

  test('missing telemetry does not pass, unless no device of the wave was updated', () => {
    const unknown = { is: 'unknown', code: 'no_telemetry', detail: 'no device of rest has reported cpu since it was updated' };
    expect(metrics({ max: 80 }, undefined)).toEqual(unknown);
    expect(metrics({ max: 80 }, { control: { devices: 3, mean: 1 } })).toEqual(unknown);
    expect(metrics({ max: 80 }, undefined, { succeeded: 0, failed: 3 }).is).toBe('passed');
  });

  test('a failing metric overrides a missing one, and a missing one overrides passing ones', () => {
    const gate = { metrics: ['a', 'b', 'c'].map((metric) => ({ metric, max: 10 })) };
    const judged = (...means: (number | null)[]) => {
      const readings = means.map((mean, index) => ({ metric: 'abc'[index]!, wave: mean === null ? null : cpu(mean), control: null }));
      return judgeMetrics(snapshot({ policy: { gate }, waves: [{ succeeded: 1 }], readings }), 0).is;
    };
    expect([judged(1, null, 11), judged(1, null, 1), judged(1, 1, 1)]).toEqual(['failed', 'unknown', 'passed']);
  });
});

const budget = (errorBudget: { max: number | string; minSample?: number } | undefined, waves: object[], isWaveDone = false) =>
  spentBudget(snapshot({ policy: errorBudget === undefined ? {} : { errorBudget }, waves }), isWaveDone);

describe('spentBudget()', () => {
  test('one failure more than the number spends it, at once and over all waves', () => {
    expect(budget({ max: 2 }, [{ failed: 1 }, { failed: 1 }])).toBeNull();
    expect(budget({ max: 2 }, [{ failed: 1 }, { failed: 2, succeeded: 7 }])).toBe('3 of 10 devices failed, the error budget is 2');
    expect(budget({ max: 0 }, [{ failed: 1 }])).not.toBeNull();
  });

  test('a share refers to ended attempts, once they reach the minimum sample', () => {
    expect(budget({ max: '20%', minSample: 5 }, [{ failed: 3, open: 90 }])).toBeNull();
    expect(budget({ max: '20%', minSample: 5 }, [{ failed: 1, succeeded: 4 }])).toBeNull();
    expect(budget({ max: '20%', minSample: 5 }, [{ failed: 2, succeeded: 4 }])).toBe(
      '2 of 6 devices failed (33.33 %), the error budget is 20%',
    );
    expect(budget({ max: '0.1%', minSample: 5 }, [{ failed: 1, succeeded: 999 }])).toBeNull();
  });

  test('a smaller sample is judged when the wave is done', () => {
    expect(budget({ max: '50%', minSample: 5 }, [{ failed: 2, succeeded: 1 }], true)).not.toBeNull();
    expect(budget({ max: '50%', minSample: 5 }, [{ failed: 1, succeeded: 1 }], true)).toBeNull();
    expect(budget({ max: '50%', minSample: 5 }, [{ open: 3 }], true)).toBeNull();
  });

  test('the default is none without waves; with waves it is 10 % of a sample of at least five', () => {
    expect(budget(undefined, [{ failed: 90 }], true)).toBeNull();
    const policy = { waves: [{ count: 10 }] };
    expect(spentBudget(snapshot({ policy, waves: [{ failed: 1, succeeded: 9 }] }), false)).toBeNull();
    expect(spentBudget(snapshot({ policy, waves: [{ failed: 1, succeeded: 8 }] }), false)).not.toBeNull();
    expect(spentBudget(snapshot({ policy, waves: [{ failed: 4 }] }), false)).toBeNull();
  });
});

describe('plan() and the error budget', () => {
  const policy = { waves: [{ count: 4 }] };

  test('a spent budget ends the rollout while devices are under way, and reverts those, too', () => {
    expect(planned({ policy, waves: [{ open: 2, failed: 3, succeeded: 2 }] })).toEqual({
      do: 'abort',
      code: 'error_budget',
      detail: '3 of 5 devices failed (60 %), the error budget is 10%',
      revert: true,
    });
  });

  test.each([
    ['something is under way', { waves: [{ open: 1, failed: 1 }] }, 'wait: under_way'],
    ['somebody is left to start', { waves: [{ failed: 1 }], eligible: { reachable: 5 } }, 'open_wave 0: 3'],
    ['the wave has taken whom it wanted', { waves: [{ succeeded: 3, failed: 1 }], eligible: { reachable: 5 } }, 'abort: error_budget'],
    ['the others are offline', { waves: [{ failed: 1 }], eligible: { away: 5 } }, 'abort: error_budget'],
  ])('fewer than a sample: %s', (_when, shown: Shown, step) => {
    expect(brief({ policy, ...shown })).toBe(step);
  });

  test('judges the failures of a skipped wave once none of its attempts is under way', () => {
    const skipped = { succeeded: 0, failed: 1, passedAt: NOW };
    expect(brief({ policy, waves: [{ ...skipped, open: 3 }], eligible: { reachable: 5 } })).toBe('open_wave 1: all');
    expect(brief({ policy, waves: [skipped], eligible: { reachable: 5 } })).toBe('abort: error_budget');
  });
});

describe('plan() and the bake', () => {
  const policy = { bakeSeconds: 30, gate: { metrics: [{ metric: 'cpu', max: 80 }] } };
  const wave = (seconds: number) => ({ succeeded: 2, lastEndedAt: at(seconds) });
  const reading = (mean: number) => [{ metric: 'cpu', wave: cpu(mean), control: null }];

  test('a wave bakes after its last device has ended', () => {
    expect(planned({ policy: { bakeSeconds: 30 }, waves: [wave(-10)] })).toEqual({
      do: 'wait',
      why: { code: 'baking', detail: 'rest is watched until 2026-03-02T12:00:20.000Z' },
      until: at(20),
    });
    expect(brief({ policy: { bakeSeconds: 30 }, waves: [wave(-30)] })).toBe('pass_wave 0');
    expect(brief({ policy: { bakeSeconds: 30, waves: [{ count: 1, bakeSeconds: 9 }] }, waves: [wave(-10)] })).toBe('pass_wave 0');
  });

  test('a wave without an ended attempt does not bake', () => {
    expect(brief({ policy: { bakeSeconds: 30 }, waves: [{ offline: 3 }] })).toBe('pass_wave 0');
  });

  test('checks the metrics every five seconds, and ends early when they fail', () => {
    expect(planned({ policy, waves: [wave(-10)], readings: reading(50) })).toMatchObject({ why: { code: 'baking' }, until: at(5) });
    expect(planned({ policy, waves: [wave(-27)], readings: reading(50) })).toMatchObject({ why: { code: 'baking' }, until: at(3) });
    expect(brief({ policy, waves: [wave(-10)], readings: reading(81) })).toBe('abort: gate_failed');
  });

  test('waits for missing telemetry after the bake', () => {
    expect(planned({ policy, waves: [wave(-30)] })).toMatchObject({ why: { code: 'no_telemetry' }, until: at(5) });
    expect(brief({ policy, waves: [wave(-30)], readings: reading(80) })).toBe('pass_wave 0');
    expect(brief({ policy, waves: [wave(-30)], readings: reading(81) })).toBe('abort: gate_failed');
  });
});
