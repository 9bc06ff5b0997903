import fc from 'fast-check';
import { expect, test } from 'vitest';
import { afterStep, nextStep, type PushProgress, type StepOutcome } from '../../src/adapter/next-step.ts';
import { type DeploymentState, isOpen } from '../../src/deployment/deployment.ts';
import type { Verification } from '../../src/integration/provider.ts';

type Place = 'old' | 'mixed' | 'new';
type World = {
  attempt: DeploymentState;
  push: (PushProgress & { token: string }) | undefined;
  place: Place;
  tokens: Set<string>;
};

/** What happens at one step. `crash`: the process dies after the platform took the step, before the record shows it. */
const Happening = fc.record({
  outcome: fc.constantFrom('good', 'unverified', 'pending', 'refused', 'passing', 'permanent'),
  crash: fc.constantFrom('no', 'no', 'no', 'before', 'after'),
  interruption: fc.constantFrom(null, null, null, null, null, 'superseded', 'cancelled', 'timed_out'),
});
type Happening = typeof Happening extends fc.Arbitrary<infer T> ? T : never;

const good: Happening = { outcome: 'good', crash: 'no', interruption: null };
let minted = 0;

/** One process that takes one step, as `advance.ts` does. */
function play(world: World, { outcome, crash, interruption }: Happening): void {
  if (interruption !== null && isOpen(world.attempt)) world.attempt = interruption as DeploymentState;
  const next = nextStep(world.attempt, world.push);
  if (crash === 'before' || next === 'none') return;
  const fault = { is: 'fault' as const, isPassing: outcome !== 'permanent', detail: outcome };
  const isFault = outcome === 'passing' || outcome === 'permanent';
  const keep = (result: StepOutcome) => {
    if (crash !== 'after' && world.push !== undefined) world.push = { ...world.push, ...afterStep(world.push, result, 0.5), tries: 0 };
  };
  const report = (state: DeploymentState) => {
    if (isOpen(world.attempt) || (state === 'rolled_back' && ['failed', 'timed_out'].includes(world.attempt))) world.attempt = state;
  };
  if (next === 'prepare') {
    if (isFault) report('failed');
    else if (crash !== 'after') world.push = { step: 'prepared', verdict: null, tries: 0, token: `t${minted++}` };
  } else if (next === 'begin') world.push!.step = 'applying';
  else if (next === 'apply') {
    world.tokens.add(world.push!.token);
    // A fault may leave any part of the change.
    world.place = isFault ? 'mixed' : 'new';
    keep({ of: 'apply', outcome: isFault ? fault : { is: 'applied', receipt: null } });
  } else if (next === 'verify') keep({ of: 'verify', outcome: isFault ? fault : verdictOf(outcome) });
  else if (next === 'settle' && isFault) keep({ of: 'confirm', outcome: fault });
  else if (next === 'settle') report('succeeded');
  else if (next === 'fail') report('failed');
  else if (next === 'turn_back') world.push = { ...world.push!, step: 'cancelling', verdict: 'cancelled' };
  else if (next === 'cancel') {
    world.place = isFault ? 'mixed' : 'old';
    if (!isFault) report('rolled_back');
    keep({ of: 'cancel', outcome: isFault ? fault : { is: 'cancelled' } });
  } else world.push = { ...world.push!, step: 'done', verdict: world.push!.verdict ?? 'cancelled' };
}

function verdictOf(outcome: string): Verification {
  if (outcome === 'good') return { is: 'verified' };
  if (outcome === 'unverified') return { is: 'unverified', reason: 'blind' };
  if (outcome === 'refused') return { is: 'refused', reason: 'no' };
  return { is: 'pending', reason: 'later', afterSeconds: 5 };
}

test('whatever fails, crashes or interrupts, a push ends with the new or the previous configuration, or with a record of the mix; its token never changes', () => {
  fc.assert(
    fc.property(fc.array(Happening, { maxLength: 40 }), (happenings) => {
      const world: World = { attempt: 'queued', push: undefined, place: 'old', tokens: new Set() };
      for (const happening of happenings) play(world, happening);
      // From now on nothing fails any more.
      for (let step = 0; step < 12; step += 1) play(world, good);
      expect(nextStep(world.attempt, world.push)).toBe('none');
      expect(isOpen(world.attempt)).toBe(false);
      expect(world.tokens.size).toBeLessThanOrEqual(1);
      if (world.push === undefined) expect(world.place).toBe('old');
      else if (world.attempt === 'succeeded')
        expect([world.place, ['verified', 'unverified'].includes(world.push.verdict ?? '')]).toEqual(['new', true]);
      else if (world.push.verdict !== 'not_restored') expect([world.place, world.push.step]).toEqual(['old', 'done']);
    }),
    { numRuns: 2_000 },
  );
});

test('a platform that cannot be asked for its verdict decides nothing; one that names its own pause is asked again after it, within limits', () => {
  const push: PushProgress = { step: 'verifying', verdict: null, tries: 3 };
  const fault = { is: 'fault' as const, isPassing: false, detail: 'gone' };
  expect(afterStep(push, { of: 'verify', outcome: fault }, 0)).toMatchObject({ step: 'verifying', tries: 4, waitSeconds: 8 });
  const pending = (afterSeconds: number) =>
    afterStep(push, { of: 'verify', outcome: { is: 'pending', reason: 'r', afterSeconds } }, 0).waitSeconds;
  expect([0, 20, 86_400].map(pending)).toEqual([1, 20, 300]);
});
