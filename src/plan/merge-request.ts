import type { CommitStatus } from '../forge/forge.ts';
import type { ConfigError } from '../revision/revision.ts';
import { isRefused, type Outline, type PlanSummary } from './plan.ts';

export const MERGE_REQUEST_VERDICTS = ['valid', 'partial', 'invalid', 'error'] as const;
export type MergeRequestVerdict = (typeof MERGE_REQUEST_VERDICTS)[number];

/** `pending`: the first or next attempt to post is due. `failed`: no attempt before the next change. */
export const POSTINGS = ['none', 'pending', 'posted', 'failed'] as const;
export type Posting = (typeof POSTINGS)[number];

/** A merge request into the branch that a source follows, its last plan, and the state of posting it at the git host. */
export type MergeRequest = {
  organizationId: string;
  id: string;
  sourceId: string;
  number: number;
  state: 'open' | 'closed';
  title: string | null;
  url: string | null;
  headRef: string;
  /** Name of the target branch; null: no hook has named it yet. */
  target: string | null;
  hookedCommit: string | null;
  noticedAt: Date;
  headCommit: string | null;
  baseCommit: string | null;
  verdict: MergeRequestVerdict | null;
  /** Its author must change it before it can roll out. */
  isRefused: boolean;
  summary: PlanSummary | null;
  headline: string | null;
  markdown: string | null;
  plannedAt: Date | null;
  posting: Posting;
  commentUrl: string | null;
  postedAt: Date | null;
  failures: number;
  errorCode: string | null;
  errorDetail: string | null;
  dueAt: Date | null;
  closedAt: Date | null;
};

/** A hook may arrive before its host serves the commit. The service then queries the host again for this long, at this interval. */
export const EXPECT_HEAD_SECONDS = 30;
export const EXPECT_RETRY_SECONDS = 3;

/** The plan in one line. For a refused plan, this is the first error. */
export function headlineOf(plan: Pick<Outline, 'verdict' | 'summary' | 'blockers'> & { errors: readonly ConfigError[] }): string {
  const { errors, summary, blockers } = plan;
  const [first] = errors;
  if (first !== undefined) return first.message;
  if (isRefused(plan)) return 'it does not validate';
  if (summary.changed === 0) return `no device changes, of ${summary.devices}`;
  const blocked = summary.blocked === 0 ? '' : `, ${summary.blocked} blocked`;
  const waits = blockers.length === 0 ? '' : `; waits: ${blockers[0]?.code.replaceAll('_', ' ')}`;
  return `${summary.changed} of ${summary.devices} ${summary.devices === 1 ? 'device changes' : 'devices change'}${blocked}${waits}`;
}

/** The commit status of the plan. */
export function planStatus({
  verdict,
  isRefused: refused,
  headline,
}: Pick<MergeRequest, 'verdict' | 'isRefused' | 'headline'>): CommitStatus {
  const description = headline ?? '';
  if (verdict === 'error') return { context: 'plan', state: 'error', description: `the plan could not be computed: ${description}` };
  return { context: 'plan', state: refused ? 'failure' : 'success', description };
}
