import { type BackoffLimits, backoff } from '../async/backoff.ts';
import { type DeploymentState, isOpen } from '../deployment/deployment.ts';
import type { Verification } from '../integration/provider.ts';
import type { Json } from '../wire/text/json.ts';

/**
 * The record of a push names the step that may be under way. It is stored before the step begins. A process that finds it therefore repeats the step,
 * and all steps are idempotent.
 *
 * `prepared` → `applying` → `verifying` → `confirming` → `done`, or from each of them → `cancelling` → `done`.
 */
export type PushStep = 'prepared' | 'applying' | 'verifying' | 'confirming' | 'cancelling' | 'done';

/** `not_restored`: the platform refused to take the previous configuration back. `cancelled`: another attempt, a person or a deadline ended this one. */
export type PushVerdict = 'verified' | 'unverified' | 'refused' | 'cancelled' | 'not_restored';

export type PushProgress = { step: PushStep; verdict: PushVerdict | null; tries: number };

/**
 * `settle` confirms a change that is on trial, and reports success. `fail` reports the failure before the previous configuration is put back.
 * `turn_back` only records that the change is to be undone.
 */
export type NextStep = 'none' | 'prepare' | 'begin' | 'apply' | 'verify' | 'settle' | 'fail' | 'turn_back' | 'cancel' | 'close';

/** Decides what a push needs next. Pure. @param push undefined: nothing was prepared yet */
export function nextStep(attempt: DeploymentState, push: Pick<PushProgress, 'step'> | undefined): NextStep {
  if (push === undefined) return isOpen(attempt) ? 'prepare' : 'none';
  const { step } = push;
  if (step === 'done') return 'none';
  if (attempt === 'succeeded') return 'close';
  if (step === 'cancelling') return isOpen(attempt) ? 'fail' : 'cancel';
  // Nothing was sent before `applying`.
  if (!isOpen(attempt)) return step === 'prepared' ? 'close' : 'turn_back';
  switch (step) {
    case 'prepared':
      return 'begin';
    case 'applying':
      return 'apply';
    case 'verifying':
      return 'verify';
    case 'confirming':
      return 'settle';
    default:
      return step satisfies never;
  }
}

/** `fault`: the step threw. `isPassing`: the same step may succeed later. */
type Fault = { is: 'fault'; isPassing: boolean; detail: string };
export type StepOutcome =
  | { of: 'apply'; outcome: { is: 'applied'; receipt: Json } | Fault }
  | { of: 'verify'; outcome: Verification | Fault }
  | { of: 'confirm'; outcome: Fault }
  | { of: 'cancel'; outcome: { is: 'cancelled' } | Fault };

/** Changes of a record. A field that is left out stays. `waitSeconds`: pause before the next step. */
export type PushChange = {
  step: PushStep;
  verdict?: PushVerdict;
  detail?: string | null;
  receipt?: Json;
  waitSeconds?: number;
  tries?: number;
};

const RETRY_SECONDS: BackoffLimits = { base: 2, cap: 300 };
/** A platform may name any time. */
const WAIT_SECONDS = { min: 1, max: 300 };

/**
 * Decides how an outcome changes the record. Pure. A fault while the platform is asked for the verdict decides nothing: the deadline of the attempt
 * ends the questions.
 * @param random in [0, 1)
 */
export function afterStep(push: PushProgress, result: StepOutcome, random: number): PushChange {
  const again = (step: PushStep, detail: string): PushChange => ({
    step,
    detail,
    tries: push.tries + 1,
    waitSeconds: backoff(RETRY_SECONDS, push.tries + 1, random),
  });
  const refuse = (detail: string): PushChange => ({ step: 'cancelling', verdict: 'refused', detail, tries: 0 });
  const { outcome } = result;
  switch (outcome.is) {
    case 'applied':
      return { step: 'verifying', receipt: outcome.receipt, detail: null, tries: 0 };
    case 'verified':
      return { step: 'confirming', verdict: 'verified', detail: null, tries: 0 };
    case 'unverified':
      return { step: 'confirming', verdict: 'unverified', detail: outcome.reason, tries: 0 };
    case 'pending':
      return {
        step: 'verifying',
        detail: outcome.reason,
        tries: 0,
        waitSeconds: Math.min(WAIT_SECONDS.max, Math.max(WAIT_SECONDS.min, outcome.afterSeconds)),
      };
    case 'refused':
      return refuse(outcome.reason);
    case 'cancelled':
      return { step: 'done' };
    case 'fault':
      if (result.of === 'verify') return again('verifying', outcome.detail);
      if (result.of === 'cancel')
        return outcome.isPassing ? again('cancelling', outcome.detail) : { step: 'done', verdict: 'not_restored', detail: outcome.detail };
      if (!outcome.isPassing) return refuse(outcome.detail);
      return again(result.of === 'apply' ? 'applying' : 'confirming', outcome.detail);
    default:
      return outcome satisfies never;
  }
}
