import type { CommitStatus } from '../forge/forge.ts';
import type { ConfigError } from '../revision/revision.ts';
import { isRefused, type Outline, type PlanSummary } from './plan.ts';

export const MERGE_REQUEST_VERDICTS = ['valid', 'partial', 'invalid', 'error'] as const;
export type MergeRequestVerdict = (typeof MERGE_REQUEST_VERDICTS)[number];

/** `pending`: to be posted, or to be posted again. `failed`: given up until something is new. */
export const POSTINGS = ['none', 'pending', 'posted', 'failed'] as const;
export type Posting = (typeof POSTINGS)[number];

/** A merge request into the branch that a source follows, its last plan, and whether the git host was told of it. */
export type MergeRequest = {
  organizationId: string;
  id: string;
  sourceId: string;
  number: number;
  state: 'open' | 'closed';
  title: string | null;
  url: string | null;
  headRef: string;
  /** Name of the branch that it is to be merged into; null: no hook has said so yet. */
  target: string | null;
  hookedCommit: string | null;
  noticedAt: Date;
  headCommit: string | null;
  baseCommit: string | null;
  verdict: MergeRequestVerdict | null;
  /** Its author must change it. */
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

/** A hook comes sooner than its host shows the commit, at times: it is looked for again within this, in these steps. */
export const EXPECT_HEAD_SECONDS = 30;
export const EXPECT_RETRY_SECONDS = 3;

/** The plan in one line: of one that is refused the first error. */
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

/** What stands beside the commit at the host. */
export function planStatus({
  verdict,
  isRefused: refused,
  headline,
}: Pick<MergeRequest, 'verdict' | 'isRefused' | 'headline'>): CommitStatus {
  const description = headline ?? '';
  if (verdict === 'error') return { context: 'plan', state: 'error', description: `the plan could not be computed: ${description}` };
  return { context: 'plan', state: refused ? 'failure' : 'success', description };
}
