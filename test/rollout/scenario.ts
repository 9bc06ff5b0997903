import fc from 'fast-check';
import type { z } from 'zod';
import type { RolloutPolicy } from '../../src/policy/policy.ts';
import type { DeviceSpec } from './world.ts';

/** An action of an operator, a device or the fleet's manager, `afterSeconds` after the previous one. `device`: its index in the fleet. */
export type Act = {
  afterSeconds: number;
  do: (typeof ACTS)[number];
  device: number;
};

/** Frequent actions are listed several times. */
const ACTS = [
  ...([
    'go_away',
    'go_away',
    'come_back',
    'come_back',
    'come_back',
    'join',
    'join',
    'leave',
    'hold',
    'release',
    'release',
    'relabel',
  ] as const),
  ...(['approve', 'approve', 'approve', 'pause', 'resume', 'resume', 'skip_wave', 'reject', 'abort', 'supersede'] as const),
  ...(['hold_source', 'release_source', 'release_source', 'override_windows', 'roll_back_device'] as const),
  ...(['restart', 'restart', 'restart', 'roll_back', 'lift_hold', 'lift_hold'] as const),
] as const;

export type Scenario = { policy: RolloutPolicyInput; devices: DeviceSpec[]; acts: Act[] };
type RolloutPolicyInput = z.input<typeof RolloutPolicy>;

const percent = fc.constantFrom(1, 5, 7, 10, 25, 29, 50, 100);
const amount = fc.oneof(
  fc.nat(6),
  percent.map((share) => `${share}%`),
);
const seconds = fc.constantFrom(0, 1, 10, 45, 120);
const few = fc.integer({ min: 1, max: 6 });

const metric = fc.record(
  {
    metric: fc.constant('cpu'),
    over: fc.constantFrom('mean' as const, 'max' as const),
    max: fc.constantFrom(60, 90),
    min: fc.constant(5),
    maxRatioToControl: fc.constantFrom(1, 1.5),
  },
  { requiredKeys: ['metric', 'max'] },
);
const gate = fc.record(
  { success: fc.constantFrom(0, 50, 80, 100), minSucceeded: few, metrics: fc.array(metric, { maxLength: 2 }) },
  { requiredKeys: [] },
);

const selection = fc.oneof(
  fc.record({ devices: fc.uniqueArray(fc.constantFrom('d00', 'd01', 'd02', 'd03', 'd07'), { minLength: 1 }) }),
  fc.record({ selector: fc.constant({ ring: 'canary' }) }),
  fc.record({ count: few }),
  fc.record({ upToPercent: percent }),
);
const wave = fc
  .tuple(selection, fc.record({ bakeSeconds: seconds, gate, approval: fc.boolean() }, { requiredKeys: [] }))
  .map(([selected, rest]) => ({ ...selected, ...rest }));

const windows = fc.oneof(
  fc.record({
    timeZone: fc.constant('UTC'),
    allow: fc.array(fc.record({ cron: fc.nat(23).map((hour) => `0 ${hour} * * *`), durationMinutes: fc.constantFrom(1, 30, 600) }), {
      minLength: 1,
      maxLength: 2,
    }),
  }),
  fc.constant({ timeZone: 'UTC', deny: [{ cron: '1 * * * *', durationMinutes: 20 }] }),
  fc.constant({ timeZone: 'UTC', notBefore: '2026-03-01T00:05:00Z' }),
);

/** Sets the value in one of `oneIn` policies. */
const rarely = <T>(value: fc.Arbitrary<T>, oneIn = 4) =>
  fc.oneof({ weight: oneIn - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

const policies: fc.Arbitrary<RolloutPolicyInput> = fc
  .record({
    waves: fc.array(wave, { maxLength: 4 }),
    rate: rarely(
      fc.record({
        perMinute: fc.integer({ min: 1, max: 8 }),
        factor: fc.constantFrom(1, 1.5, 2, 3),
        increaseAfterSuccesses: few,
        maxPerMinute: fc.constantFrom(4, 20),
      }),
      3,
    ),
    maxUnavailable: rarely(amount, 3),
    maxParallel: rarely(few, 3),
    maxParallelPerSite: rarely(fc.integer({ min: 1, max: 3 }), 3),
    bakeSeconds: rarely(seconds, 2),
    gate: rarely(gate, 2),
    errorBudget: rarely(fc.record({ max: amount, minSample: few }), 2),
    device: rarely(fc.record({ timeoutSeconds: fc.constantFrom(10, 60), retries: fc.nat(2) }), 2),
    onAbort: fc.constantFrom('revert' as const, 'revert' as const, 'stop' as const),
    offlineGraceSeconds: rarely(seconds, 2),
    lateJoiners: rarely(fc.constantFrom('join' as const, 'wait' as const)),
    windows: rarely(windows, 8),
    approval: rarely(fc.record({ beforeRollout: fc.boolean(), expiresAfterSeconds: fc.constantFrom(60, 600) }, { requiredKeys: [] })),
  })
  // JSON omits undefined fields.
  .map((policy) => JSON.parse(JSON.stringify(policy)) as RolloutPolicyInput);

const fate = fc.oneof(
  { weight: 12, arbitrary: fc.constant('succeed' as const) },
  { weight: 3, arbitrary: fc.constantFrom('roll_back' as const, 'pass' as const, 'vanish' as const, 'crash' as const) },
  { weight: 1, arbitrary: fc.constant('break' as const) },
);
const device: fc.Arbitrary<DeviceSpec> = fc.record({
  ring: fc.constantFrom('wide', 'wide', 'canary'),
  site: fc.constantFrom('north', 'south', null),
  online: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  pushed: fc.constantFrom(false, false, false, true),
  bound: fc.constantFrom(true, true, true, true, false),
  changed: fc.constantFrom(true, true, true, true, true, false),
  fates: fc.array(fate, { minLength: 1, maxLength: 3 }),
  beginSeconds: fc.nat(5),
  runSeconds: fc.integer({ min: 1, max: 30 }),
  cpu: fc.constantFrom([20, 20], [20, 20], [20, 20], [20, 40], [50, 95], [0, 3]),
});

const act: fc.Arbitrary<Act> = fc.record({
  afterSeconds: fc.oneof(fc.nat(3), fc.nat(90)),
  do: fc.constantFrom(...ACTS),
  device: fc.nat(39),
});

export const scenarios: fc.Arbitrary<Scenario> = fc.record({
  policy: policies,
  devices: fc.oneof(fc.array(device, { maxLength: 6 }), fc.array(device, { maxLength: 40 })),
  acts: fc.array(act, { maxLength: 25 }),
});
