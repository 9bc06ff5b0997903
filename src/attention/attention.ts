import type { Role } from '../organization/organization.ts';

/** Kinds of things that need a person, the most urgent first: a change that does harm, then work that stands still, then what may wait. */
export const ATTENTION_KINDS = [
  'rollout_failures',
  'rollout_paused',
  'rollout_awaiting_approval',
  'revision_rejected',
  'source_failing',
  'job_failing',
  'device_failures',
  'device_cloned',
  'rollout_waiting',
  'integration_blocked',
  'integration_stale',
  'conflicts',
  'device_reenrolment',
  'notification_failing',
  'device_quarantined',
  'device_held',
] as const;
export type AttentionKind = (typeof ATTENTION_KINDS)[number];

/** An act of a person about an item: the last part of the operation's path, or its name. */
export type AttentionAction =
  | 'resume'
  | 'abort'
  | 'approve'
  | 'reject'
  | 'skip-wave'
  | 'retry'
  | 'override-windows'
  | 'sync'
  | 'release'
  | 'enable'
  | 'resolve'
  | 'allow-reenrolment';

export type SubjectType = 'rollout' | 'source' | 'integration' | 'notification' | 'device' | 'devices' | 'service';

/** Ids of what the page can link to. */
export type AttentionLinks = {
  rolloutId?: string;
  revisionId?: string;
  sourceId?: string;
  integration?: string;
  deviceId?: string;
  notificationId?: string;
};

/** Where a commit is to be fixed. */
export type CommitPlace = { revisionId: string; commit: string; file: string; line: number | null };

/** Failures of several devices with one cause. */
export type CauseGroup = {
  cause: string;
  code: string;
  /** Their common detail, without secrets. */
  detail: string;
  count: number;
  /** The device that failed first. */
  firstDevice: string;
  deploymentId: string | null;
  since: Date;
  lastAt: Date;
  /** A line of the first device's log about the attempt, else the detail that it reported. */
  sample: { at: Date; level: string; message: string } | null;
  place: CommitPlace | null;
};

/** Measured numbers of a rollout against its error budget. */
export type BudgetNumbers = { succeeded: number; failed: number; budget: string | null };

export type AttentionItem = {
  kind: AttentionKind;
  subject: { type: SubjectType; id: string; name: string };
  /** A sentence. */
  title: string;
  count: number;
  /** More than `count` may be affected: not all were counted. */
  isMinimum: boolean;
  firstDevice: string | null;
  since: Date | null;
  /** The service tries again by itself. */
  nextTryAt: Date | null;
  /** Why, in the words of who reported it, without secrets. */
  cause: string | null;
  causes: CauseGroup[];
  moreCauses: number;
  numbers: BudgetNumbers | null;
  place: CommitPlace | null;
  links: AttentionLinks;
  actions: { action: AttentionAction; role: Role }[];
};

/** Limit of items of each kind: a page shows no more. */
export const MAX_PER_KIND = 20;
export const MAX_CAUSES = 3;
const MAX_ITEMS = 100;

/** Items of one kind, and how many more there are. */
export type Found = { items: AttentionItem[]; more: number };

/** @returns the most urgent items: by their kind, then those that concern most devices, then the oldest */
export function mostUrgent(found: readonly Found[]): Found {
  const items = found.flatMap((each) => each.items).sort(byUrgency);
  const more = found.reduce((sum, each) => sum + each.more, 0);
  return { items: items.slice(0, MAX_ITEMS), more: more + Math.max(0, items.length - MAX_ITEMS) };
}

function byUrgency(a: AttentionItem, b: AttentionItem): number {
  const rank = ATTENTION_KINDS.indexOf(a.kind) - ATTENTION_KINDS.indexOf(b.kind);
  if (rank !== 0) return rank;
  if (a.count !== b.count) return b.count - a.count;
  return (a.since?.getTime() ?? 0) - (b.since?.getTime() ?? 0) || (a.subject.id < b.subject.id ? -1 : 1);
}

type Given = Pick<AttentionItem, 'kind' | 'subject' | 'title' | 'since'> & Partial<AttentionItem>;

/** An item with the fields that its kind leaves out. */
export function itemOf(given: Given): AttentionItem {
  return {
    count: 1,
    isMinimum: false,
    firstDevice: null,
    nextTryAt: null,
    cause: null,
    causes: [],
    moreCauses: 0,
    numbers: null,
    place: null,
    links: {},
    actions: [],
    ...given,
  };
}

/** The first items of rows that were read with one more than are shown. @param total how many there are */
export function foundOf<Row>(rows: readonly Row[], total: number, view: (row: Row) => AttentionItem): Found {
  const shown = rows.slice(0, MAX_PER_KIND);
  return { items: shown.map(view), more: Math.max(0, total - shown.length) };
}

/** `1 device`, `3 devices`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
