import type { Db } from '../db/connect.ts';
import { type AttentionItem, type CauseGroup, counted, type Found, itemOf, MAX_CAUSES, MAX_PER_KIND, mostUrgent } from './attention.ts';
import { groupsOf } from './causes.ts';
import {
  actionsOf,
  clonedItem,
  conflictItem,
  counts,
  type Ended,
  heldItem,
  integrationItem,
  jobItem,
  linksOf,
  listed,
  notificationItem,
  numbersOf,
  quarantinedFound,
  reenrolmentItem,
  rejectedItem,
  sourceItem,
  stoppedItem,
  subjectOf,
} from './items.ts';
import type { Places } from './places.ts';
import { clonedDevices, heldDevices, quarantinedDevices, waitingReenrolments } from './store/devices.ts';
import { type CauseRow, causesIn, MAX_EXAMINED, presentCauses } from './store/failures.ts';
import { endedCounts, type RolloutRow, rolloutsNamed, stoppedRollouts } from './store/rollouts.ts';
import { failingJobs, failingNotifications, openConflicts, troubledIntegrations } from './store/service.ts';
import { failingSources, rejectedRevisions, sourcesNamed } from './store/sources.ts';
import { failuresTitle } from './titles.ts';

/** All that needs a person, the most urgent first. Its cost grows with what is wrong, not with the fleet. */
export async function readAttention(sql: Db, organizationId: string, places: Places): Promise<Found> {
  const found = await Promise.all([
    readFailures(sql, organizationId, places),
    readStopped(sql, organizationId),
    failingSources(sql, organizationId, MAX_PER_KIND).then((rows) => listed(rows, sourceItem)),
    rejectedRevisions(sql, organizationId, MAX_PER_KIND).then((rows) => listed(rows, rejectedItem)),
    troubledIntegrations(sql, organizationId).then((rows) => counts(rows, integrationItem)),
    openConflicts(sql, organizationId).then((rows) => counts(rows, conflictItem)),
    failingNotifications(sql, organizationId).then((rows) => counts(rows, notificationItem)),
    failingJobs(sql, organizationId).then((rows) => counts(rows, (row) => jobItem(row, organizationId))),
    clonedDevices(sql, organizationId, MAX_PER_KIND).then((rows) => listed(rows, clonedItem)),
    heldDevices(sql, organizationId, MAX_PER_KIND).then((rows) => listed(rows, heldItem)),
    waitingReenrolments(sql, organizationId, MAX_PER_KIND).then((rows) => listed(rows, reenrolmentItem)),
    quarantinedDevices(sql, organizationId).then(quarantinedFound),
  ]);
  return mostUrgent(found);
}

async function readStopped(sql: Db, organizationId: string): Promise<Found> {
  const rows = await stoppedRollouts(sql, organizationId, MAX_PER_KIND);
  const ended = await endedCounts(
    sql,
    organizationId,
    rows.map(({ id }) => id),
  );
  return listed(rows, (row) => stoppedItem(row, ended));
}

async function readFailures(sql: Db, organizationId: string, places: Places): Promise<Found> {
  const groups = (rows: readonly CauseRow[]) => groupsOf(sql, organizationId, rows, places);
  const [inRollouts, outside] = await Promise.all([presentCauses(sql, organizationId), causesIn(sql, organizationId, 'devices')]);
  const byRollout = [...Map.groupBy(inRollouts, ({ rolloutId }) => rolloutId ?? '')].sort(([, a], [, b]) => sumOf(b) - sumOf(a));
  const shown = byRollout.slice(0, MAX_PER_KIND);
  const ids = shown.map(([id]) => id);
  const bySource = [...Map.groupBy(outside, ({ sourceId }) => sourceId ?? '')];
  const sourceIds = bySource.map(([id]) => id).filter((id) => id !== '');
  const [rollouts, ended, names] = await Promise.all([
    rolloutsNamed(sql, organizationId, ids),
    endedCounts(sql, organizationId, ids),
    sourcesNamed(sql, organizationId, sourceIds),
  ]);
  const items: AttentionItem[] = [];
  for (const [id, rows] of shown) {
    const rollout = rollouts.get(id);
    if (rollout !== undefined) items.push(await rolloutItem(groups, rollout, rows, ended));
  }
  for (const [id, rows] of bySource.slice(0, MAX_PER_KIND))
    items.push(await devicesItem(groups, rows, { id, name: names.get(id) ?? 'no source' }));
  return { items, more: Math.max(0, byRollout.length - MAX_PER_KIND) + Math.max(0, bySource.length - MAX_PER_KIND) };
}

function sumOf(rows: readonly CauseRow[]): number {
  return rows.reduce((sum, { count }) => sum + count, 0);
}

type Groups = (rows: readonly CauseRow[]) => Promise<CauseGroup[]>;

async function causesOf(groups: Groups, rows: readonly CauseRow[]) {
  const [first] = rows.toSorted((a, b) => a.since.getTime() - b.since.getTime());
  return {
    count: sumOf(rows),
    firstDevice: first?.deviceId ?? null,
    since: first?.since ?? null,
    causes: await groups(rows.slice(0, MAX_CAUSES)),
    moreCauses: Math.max(0, rows.length - MAX_CAUSES),
  };
}

async function rolloutItem(groups: Groups, rollout: RolloutRow, rows: readonly CauseRow[], ended: Ended): Promise<AttentionItem> {
  const found = await causesOf(groups, rows);
  const canRetry = rollout.state === 'running' || rollout.state === 'paused' || rollout.state === 'completed';
  return itemOf({
    ...found,
    kind: 'rollout_failures',
    subject: subjectOf(rollout),
    title: failuresTitle(rollout, found.count, rows.length),
    cause: found.causes[0]?.detail ?? null,
    numbers: numbersOf(rollout, ended),
    links: { ...linksOf(rollout), ...deviceLink(found) },
    actions: [...(canRetry ? [{ action: 'retry', role: 'operator' } as const] : []), ...actionsOf(rollout)],
  });
}

function deviceLink({ firstDevice }: Pick<AttentionItem, 'firstDevice'>): AttentionItem['links'] {
  return firstDevice === null ? {} : { deviceId: firstDevice };
}

async function devicesItem(groups: Groups, rows: readonly CauseRow[], source: { id: string; name: string }): Promise<AttentionItem> {
  const found = await causesOf(groups, rows);
  const verb = found.count === 1 ? 'fails' : 'fail';
  return itemOf({
    ...found,
    kind: 'device_failures',
    subject: { type: 'devices', id: source.id === '' ? 'none' : source.id, name: source.name },
    title: `${counted(found.count, 'device')} of "${source.name}" ${verb} outside of its newest rollout`,
    isMinimum: found.count >= MAX_EXAMINED,
    cause: found.causes[0]?.detail ?? null,
    links: { ...(source.id === '' ? {} : { sourceId: source.id }), ...deviceLink(found) },
  });
}
