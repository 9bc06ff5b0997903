import { bakeSecondsOf, budgetOf, gateOf, waveCount, waveName } from '../policy/policy.ts';
import type { Revision } from '../revision/store.ts';
import { quarantinedIn } from './decide/capacity.ts';
import { currentWave, type RolloutSnapshot } from './decide/snapshot.ts';
import type { Rollout } from './rollout.ts';
import type { Approval } from './store/approvals.ts';
import type { WaveRow } from './store/store.ts';

export const STEP_STATES = ['pending', 'waiting', 'running', 'done', 'failed', 'skipped'] as const;
export type StepState = (typeof STEP_STATES)[number];
export const STEP_KINDS = ['source', 'fetch', 'validate', 'store', 'approval', 'wave', 'end'] as const;

/** Numbers of a wave against its gate and the error budget. */
export type WaveNumbers = {
  succeeded: number;
  failed: number;
  open: number;
  offline: number;
  quarantined: number;
  /** Successes that the gate requires, and their share; null: none. */
  neededSucceeded: number | null;
  neededPercent: number | null;
  /** The error budget of the rollout. */
  budget: string | null;
};

/** One step on the way of a commit to its devices. */
export type GraphStep = {
  id: string;
  kind: (typeof STEP_KINDS)[number];
  name: string;
  state: StepState;
  startedAt: Date | null;
  finishedAt: Date | null;
  durationMs: number | null;
  reason: string | null;
  wave: number | null;
  numbers: WaveNumbers | null;
  bakeUntil: Date | null;
};

type Input = {
  rollout: Rollout;
  revision: Revision;
  sourceName: string;
  rows: readonly WaveRow[];
  approvals: readonly Approval[];
  snapshot: RolloutSnapshot;
};

/** The steps of a rollout in their order. Pure. */
export function graphOf(input: Input): GraphStep[] {
  const waves = Array.from({ length: waveCount(input.rollout.policy) }, (_, wave) => wave);
  return [
    ...revisionSteps(input),
    ...input.approvals.filter(({ wave }) => wave === null).map(approvalStep(input.rollout)),
    ...waves.flatMap((wave) => [
      ...input.approvals.filter((approval) => approval.wave === wave).map(approvalStep(input.rollout)),
      waveStep(input, wave),
    ]),
    endStep(input.rollout),
  ];
}

const EMPTY = { startedAt: null, finishedAt: null, durationMs: null, reason: null, wave: null, numbers: null, bakeUntil: null };

function revisionSteps({ revision, sourceName, rollout }: Input): GraphStep[] {
  const { timings, createdAt, verdict, commit } = revision;
  const isRepeat = rollout.kind === 'rollback';
  const stage = (kind: 'fetch' | 'validate', name: string, durationMs: number | undefined): GraphStep => ({
    ...{ ...EMPTY, id: kind, kind, name, state: 'done' },
    durationMs: durationMs ?? null,
  });
  return [
    {
      ...EMPTY,
      id: 'source',
      kind: 'source',
      name: sourceName,
      state: 'done',
      finishedAt: revision.committedAt,
      reason: isRepeat ? rollout.reason : null,
    },
    stage('fetch', 'Fetch', sumOf(timings.refsMs, timings.fetchMs)),
    { ...stage('validate', 'Validate and bundle', timings.buildMs), state: verdict === 'invalid' ? 'failed' : 'done', reason: verdict },
    { ...EMPTY, id: 'store', kind: 'store', name: commit.slice(0, 8), state: 'done', finishedAt: createdAt },
  ];
}

function sumOf(...parts: (number | undefined)[]): number | undefined {
  return parts.every((part) => part === undefined) ? undefined : parts.reduce<number>((sum, part) => sum + (part ?? 0), 0);
}

const DECIDED: Readonly<Record<string, StepState>> = { approved: 'done', rejected: 'failed', expired: 'failed' };

const approvalStep =
  ({ policy }: Rollout) =>
  ({ id, wave, requestedAt, decision, decidedAt, decidedBy, comment }: Approval): GraphStep => ({
    ...{ ...EMPTY, id: `approval:${id}`, kind: 'approval', wave, startedAt: requestedAt, finishedAt: decidedAt },
    name: wave === null ? 'Approval' : `Approval of ${waveName(policy, wave)}`,
    state: decision === null ? 'waiting' : (DECIDED[decision] ?? 'failed'),
    reason: decision === null ? null : [`${decision}${decidedBy === null ? '' : ` by ${decidedBy}`}`, comment].filter(Boolean).join(': '),
  });

function waveStep({ rollout, rows, snapshot }: Input, wave: number): GraphStep {
  const { policy } = rollout;
  const at = rows.findIndex((row) => row.wave === wave);
  const row = rows[at];
  const { succeeded = 0, failed = 0, open = 0, offline = 0, lastEndedAt = null } = snapshot.waves[at] ?? {};
  const gate = gateOf(policy, wave);
  const budget = budgetOf(policy);
  const bakeUntil =
    row === undefined || row.passedAt !== null || lastEndedAt === null ? null : bakeEnd(lastEndedAt, bakeSecondsOf(policy, wave));
  return {
    ...{ ...EMPTY, id: `wave:${wave}`, kind: 'wave', wave, name: waveName(policy, wave), bakeUntil },
    state: stateOfWave(rollout, row, wave === currentWave(policy, snapshot.waves)),
    startedAt: row?.openedAt ?? null,
    finishedAt: row?.passedAt ?? null,
    reason:
      row?.skippedBy != null ? `skipped by ${row.skippedBy}` : wave === currentWave(policy, snapshot.waves) ? reasonOf(rollout) : null,
    numbers: {
      ...{ succeeded, failed, open, offline, quarantined: quarantinedIn(snapshot, wave) },
      neededSucceeded: gate.minSucceeded ?? null,
      neededPercent: gate.success ?? null,
      budget: budget === undefined ? null : String(budget.max),
    },
  };
}

function bakeEnd(lastEndedAt: Date, seconds: number): Date | null {
  return seconds === 0 ? null : new Date(lastEndedAt.getTime() + seconds * 1000);
}

function reasonOf({ waiting, endDetail }: Rollout): string | null {
  return endDetail ?? waiting?.detail ?? null;
}

function stateOfWave({ state }: Rollout, row: WaveRow | undefined, isCurrent: boolean): StepState {
  if (row?.skippedBy != null) return 'skipped';
  if (row?.passedAt != null || (state === 'completed' && row !== undefined)) return 'done';
  if (state === 'completed') return 'done';
  if (state === 'aborted' || state === 'reverting' || state === 'reverted') return row === undefined ? 'skipped' : 'failed';
  if (state === 'superseded') return 'skipped';
  if (!isCurrent) return 'pending';
  if (state === 'paused' || state === 'awaiting_approval') return 'waiting';
  return row === undefined ? 'waiting' : 'running';
}

const ENDS: Readonly<Partial<Record<Rollout['state'], StepState>>> = {
  completed: 'done',
  aborted: 'failed',
  reverting: 'running',
  reverted: 'failed',
  superseded: 'skipped',
};

function endStep(rollout: Rollout): GraphStep {
  const { state, finishedAt } = rollout;
  const name = state === 'reverting' || state === 'reverted' ? 'Roll devices back' : 'Complete';
  return { ...EMPTY, id: 'end', kind: 'end', name, state: ENDS[state] ?? 'pending', finishedAt, reason: rollout.endDetail };
}
