import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elapsedSinceSwapMs, isGivenUp, planNext, quarantineUnder, resumeAttempt, supersedes } from '../../agent/deploy/plan.ts';
import { AgentState, Attempt, Phase } from '../../agent/deploy/state.ts';
import { aroundMs, backoffMs, parseRetryAfter, pauseMs, retryMs } from '../../agent/time/backoff.ts';
import { createDeviceClock } from '../../agent/time/clock.ts';
import type { DesiredState } from '../../src/wire/agent.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);

function desired(overrides: Partial<DesiredState> = {}): DesiredState {
  return {
    ...{ deviceId: 'd', organizationId: 'o', sequence: 1, issuedAt: '2026-01-01T00:00:00Z', expiresAt: '2027-01-01T00:00:00Z' },
    ...{
      deploymentId: 'd1',
      bundle: { digest: A, size: 1, url: '/a' },
      beginBefore: null,
      force: false,
      driftPolicy: 'report',
      commands: [],
      pollAfterSeconds: 0,
      heartbeatSeconds: 30,
    },
    ...overrides,
  };
}

const state = (overrides: Partial<AgentState> = {}) => AgentState.parse(overrides);

const attempt = (overrides: Partial<Attempt>) =>
  Attempt.parse({
    ...{
      deploymentId: 'd1',
      digest: A,
      size: 1,
      url: '/a',
      previous: B,
      number: 1,
      phase: 'swapping',
      interruptions: 0,
      swappedAt: null,
      touched: true,
      apply: null,
      failure: null,
    },
    ...overrides,
  });

test('planNext() applies a new deployment over the running bundle', () => {
  expect(planNext(desired(), state({ running: B }))).toMatchObject({
    do: 'apply',
    retry: false,
    attempt: { digest: A, previous: B, number: 1 },
  });
});

test.each([
  ['nothing is known yet', null],
  ['no bundle is desired', desired({ bundle: null })],
  ['there is no deployment to do', desired({ deploymentId: null })],
])('planNext() does nothing when %s', (_title, want) => {
  expect(planNext(want, state())).toEqual({ do: 'nothing' });
});

test('planNext() never repeats a finished deployment, even under force, and retries one that lacked space', () => {
  const finished = { deploymentId: 'd1', number: 3, retryable: false };
  expect(planNext(desired({ force: true }), state({ finished }))).toEqual({ do: 'nothing' });
  expect(planNext(desired(), state({ finished: { ...finished, retryable: true } }))).toMatchObject({
    do: 'apply',
    retry: true,
    attempt: { number: 4 },
  });
});

test('planNext() refuses a quarantined bundle unless it is forced', () => {
  expect(planNext(desired(), state({ quarantined: [A] }))).toMatchObject({ do: 'refuse', deploymentId: 'd1' });
  expect(planNext(desired({ force: true }), state({ quarantined: [A] }))).toMatchObject({ do: 'apply' });
});

test('a quarantine ends when another bundle is desired, not when nothing is', () => {
  expect(quarantineUnder(desired(), [A, B])).toEqual([A]);
  expect(quarantineUnder(desired({ bundle: null }), [A])).toEqual([A]);
});

test('a desired state with another deployment, or none, supersedes a delivery', () => {
  expect(supersedes(desired({ deploymentId: 'd2' }), attempt({}))).toBe(true);
  expect(supersedes(desired({ deploymentId: null }), attempt({}))).toBe(true);
  expect(supersedes(desired(), attempt({}))).toBe(false);
});

test('the second unclean stop after the first change of the device ends an attempt, but never a download or a rollback', () => {
  fc.assert(
    fc.property(fc.constantFrom(...Phase.options), fc.array(fc.boolean(), { maxLength: 6 }), fc.boolean(), (phase, cleanStops, swapped) => {
      let current = attempt({ phase });
      for (const clean of cleanStops) current = resumeAttempt(current, clean, swapped);
      const unclean = cleanStops.filter((clean) => !clean).length;
      const harmless = phase === 'delivering' || phase === 'going_back';
      expect(isGivenUp(current)).toBe(!harmless && unclean >= 2);
    }),
  );
});

test('a swap that did not happen before the power cut is prepared again, with a new confirm timeout', () => {
  const cut = attempt({ swappedAt: '2026-01-01T00:00:00.000Z' });
  expect(resumeAttempt(cut, false, false)).toMatchObject({ phase: 'prepared', swappedAt: null });
  expect(resumeAttempt(cut, false, true)).toMatchObject({ phase: 'swapping', swappedAt: cut.swappedAt });
});

test('a clock that was set back counts as no time since the swap', () => {
  const swapped = attempt({ swappedAt: '2026-01-01T00:00:10.000Z' });
  expect(elapsedSinceSwapMs(swapped, new Date('2026-01-01T00:00:15.000Z'))).toBe(5000);
  expect(elapsedSinceSwapMs(swapped, new Date('1970-01-01T00:00:00.000Z'))).toBe(0);
});

test('backoff stays between 0 and a minute and reaches no further than its doubled bound', () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.double({ min: 0, max: 1, noNaN: true }), (tries, random) => {
      const ms = backoffMs(tries, random);
      expect(ms).toBeGreaterThanOrEqual(0);
      expect(ms).toBeLessThanOrEqual(Math.min(60_000, 500 * 2 ** tries));
    }),
  );
});

test('the pause between tries starts at the configured time and doubles up to 15 minutes, the upper half at random', () => {
  expect([2, 3, 4, 40].map((number) => retryMs(30, number, 1))).toEqual([30_000, 60_000, 120_000, 900_000]);
  expect(retryMs(30, 2, 0)).toBe(15_000);
  expect([aroundMs(10, 0), aroundMs(10, 1)].map(Math.round)).toEqual([9_000, 11_000]);
});

test('the agent follows Retry-After as seconds or date, up to five minutes', () => {
  const now = new Date('2026-01-01T00:00:00Z');
  expect(parseRetryAfter('7', now)).toBe(7);
  expect(parseRetryAfter('Thu, 01 Jan 2026 00:00:09 GMT', now)).toBe(9);
  expect(parseRetryAfter('soon', now)).toBeUndefined();
  expect(pauseMs(0, 7, 0)).toBe(7000);
  expect(pauseMs(0, 1e9, 0.5)).toBe(300_000);
});

test('a device without a clock uses the server’s time, one with a good clock its own, and neither falls behind a signed time', () => {
  let ticks = new Date('1970-01-01T00:00:05Z');
  const clock = createDeviceClock({ now: () => ticks });
  clock.learn(new Date('2026-06-01T12:00:00Z'));
  expect(clock.now().toISOString()).toBe('2026-06-01T12:00:00.000Z');
  ticks = new Date('2026-06-01T12:00:20Z');
  clock.learn(new Date('2026-06-01T12:00:10Z'));
  expect(clock.now()).toEqual(ticks);
  clock.atLeast(new Date('2026-07-01T00:00:00Z'));
  clock.learn(new Date('2020-01-01T00:00:00Z'));
  expect(clock.now().toISOString()).toBe('2026-07-01T00:00:00.000Z');
});
