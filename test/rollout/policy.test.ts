import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RolloutPolicy } from '../../src/policy/policy.ts';

const WHOLE: unknown = {
  waves: [
    { name: 'canary', devices: ['a'] },
    { selector: { ring: '1' }, bakeSeconds: 5 },
    { upToPercent: 50, approval: true },
  ],
  rate: { perMinute: 5, factor: 2, increaseAfterSuccesses: 3, maxPerMinute: 9 },
  maxUnavailable: '10%',
  gate: { metrics: [{ metric: 'cpu_percent', max: 80 }] },
  errorBudget: { max: '5%', minSample: 5 },
  device: { timeoutSeconds: 60, retries: 2, busySeconds: 60 },
  windows: {
    timeZone: 'Europe/Berlin',
    allow: [{ cron: '0 2 * * *', durationMinutes: 60 }],
    deny: [
      { cron: '0 2 * * 6', durationMinutes: 60 },
      { from: '2026-12-23T22:30:00Z', to: '2026-12-24T00:30' },
    ],
    notBefore: '2026-01-01T00:00:00Z',
  },
  approval: { beforeRollout: true, expiresAfterSeconds: 60, fourEyes: true },
  after: ['base'],
};

const strange = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    ' ',
    'x'.repeat(1_000),
    '\u0000',
    '?',
    '* * * * *',
    '0 0 31 2 *',
    '*/0 * * * *',
    '0-59 * * * *',
    '2026-02-30T00:00',
  ),
  fc.constantFrom<unknown>(
    0,
    -1,
    0.5,
    1e15,
    Number.MAX_SAFE_INTEGER,
    '0%',
    '101%',
    '-1%',
    {},
    [],
    [[]],
    { length: [] },
    'Mars/Base',
    'UTC',
  ),
  fc.jsonValue(),
);

/** Puts `value` somewhere into `into`: `steps` say where. */
function changed(into: unknown, steps: readonly number[], value: unknown): unknown {
  const [step, ...rest] = steps;
  if (step === undefined || typeof into !== 'object' || into === null || Object.keys(into).length === 0) return value;
  const keys = Object.keys(into);
  const key = keys[step % keys.length] ?? '';
  const inner = changed(Reflect.get(into, key), rest, value);
  return Array.isArray(into) ? into.with(Number(key), inner) : { ...into, [key]: inner };
}

test('the policy that this test mutates is valid', () => {
  expect(RolloutPolicy.safeParse(WHOLE).error).toBeUndefined();
});

test('accepts or refuses a policy with any value at any place, without another error', () => {
  const place = fc.array(fc.nat(20), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(fc.tuple(place, strange), { minLength: 1, maxLength: 4 }), (changes) => {
      const policy = changes.reduce((into, [steps, value]) => changed(into, steps, value), WHOLE);
      const parsed = RolloutPolicy.safeParse(policy);
      if (parsed.success) expect(RolloutPolicy.parse(parsed.data)).toEqual(parsed.data);
    }),
    { numRuns: 3_000 },
  );
});
