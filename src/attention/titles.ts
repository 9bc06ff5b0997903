import { redactLines } from '../revision/secret/text.ts';
import { counted } from './attention.ts';
import type { RolloutRow } from './store/rollouts.ts';
import type { RejectedRevision } from './store/sources.ts';

/** Sentences about what needs a person. Pure. */

const MAX_CAUSE_CHARACTERS = 500;

/** A text that a device, a host or a person gave, in one line and without secrets. */
export function shownText(text: string): string {
  const shown = redactLines(text.slice(0, 4 * MAX_CAUSE_CHARACTERS))
    .replace(/\p{Cc}+/gu, ' ')
    .trim();
  return (shown.length > MAX_CAUSE_CHARACTERS ? `${shown.slice(0, MAX_CAUSE_CHARACTERS - 1)}…` : shown).toWellFormed();
}

export function shortCommit(commit: string): string {
  return commit.slice(0, 8);
}

/** @param causes how many there are */
export function failuresTitle({ state, sourceName, commit }: RolloutRow, count: number, causes: number): string {
  const what = `${counted(count, 'device')} failed on ${shortCommit(commit)} of "${sourceName}"`;
  const why = causes === 1 ? 'for one cause' : `for ${causes} causes`;
  return `${what} ${why}; its rollout is ${STATE_WORDS[state] ?? state}`;
}

const STATE_WORDS: Readonly<Record<string, string>> = {
  awaiting_approval: 'waiting for approval',
  reverting: 'being reverted',
};

export function stoppedTitle(rollout: RolloutRow): string {
  const what = `The rollout of ${shortCommit(rollout.commit)} of "${rollout.sourceName}"`;
  if (rollout.state === 'paused') return `${what} is paused${rollout.paused === null ? '' : ` by ${rollout.paused.by}`}`;
  if (rollout.state === 'awaiting_approval') return `${what} waits for approval`;
  return `${what} waits: ${rollout.waiting?.detail ?? ''}`;
}

export function rejectedTitle({ commit, sourceName, status, folders }: RejectedRevision): string {
  if (status === 'invalid') return `Commit ${shortCommit(commit)} of "${sourceName}" was rejected`;
  return `${counted(folders, 'folder')} of "${sourceName}" ${folders === 1 ? 'is' : 'are'} invalid`;
}

/** The background work of each queue, as an object of a sentence. */
export const WORK_OF_QUEUE: Readonly<Record<string, string>> = {
  source: 'check a source',
  rollout: 'continue a rollout',
  deployment: 'deliver bundles to devices',
  workspace: 'update workspaces',
  merge_request: 'plan a merge request',
  commit_status: 'post a rollout to its Git host',
  integration: 'sync an integration',
};
