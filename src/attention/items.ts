import { budgetOf, RolloutPolicy } from '../policy/policy.ts';
import { type AttentionItem, counted, type Found, foundOf, itemOf } from './attention.ts';
import type { DeviceRow, Quarantined, ReenrolmentRow } from './store/devices.ts';
import type { RolloutRow } from './store/rollouts.ts';
import type { ConflictRow, IntegrationRow, JobRow, NotificationRow } from './store/service.ts';
import type { FailingSource, RejectedRevision } from './store/sources.ts';
import { rejectedTitle, shownText, stoppedTitle, WORK_OF_QUEUE } from './titles.ts';

/** Items of what the stores found. Pure. */

const operator = 'operator' as const;

export function linksOf({ id, sourceId, revisionId }: RolloutRow): AttentionItem['links'] {
  return { rolloutId: id, sourceId, revisionId };
}

export function subjectOf({ id, sourceName, commit }: RolloutRow): AttentionItem['subject'] {
  return { type: 'rollout', id, name: `${sourceName} ${commit.slice(0, 8)}` };
}

export type Ended = ReadonlyMap<string, { succeeded: number; failed: number }>;

export function numbersOf({ id, policy }: RolloutRow, ended: Ended): AttentionItem['numbers'] {
  const budget = budgetOf(RolloutPolicy.parse(policy));
  const { succeeded, failed } = ended.get(id) ?? { succeeded: 0, failed: 0 };
  return { succeeded, failed, budget: budget === undefined ? null : String(budget.max) };
}

const STOPPED_KINDS = { paused: 'rollout_paused', awaiting_approval: 'rollout_awaiting_approval' } as const;

export function stoppedItem(row: RolloutRow, ended: Ended): AttentionItem {
  const isPaused = row.state === 'paused';
  const kind = row.state === 'paused' || row.state === 'awaiting_approval' ? STOPPED_KINDS[row.state] : 'rollout_waiting';
  return itemOf({
    kind,
    subject: subjectOf(row),
    title: stoppedTitle(row),
    since: row.since,
    nextTryAt: row.nextLookAt,
    cause: isPaused ? shownText(row.paused?.reason ?? '') || null : row.waiting === null ? null : shownText(row.waiting.detail),
    numbers: numbersOf(row, ended),
    links: linksOf(row),
    actions: actionsOf(row),
  });
}

/** The acts of a person on a rollout that is under way. */
export function actionsOf({ state, waiting }: Pick<RolloutRow, 'state' | 'waiting'>): AttentionItem['actions'] {
  const abort = { action: 'abort', role: operator } as const;
  if (state === 'paused') return [{ action: 'resume', role: operator }, abort];
  if (state === 'awaiting_approval')
    return [
      { action: 'approve', role: operator },
      { action: 'reject', role: operator },
    ];
  if (state !== 'planned' && state !== 'running') return [];
  if (waiting?.code === 'window_closed') return [{ action: 'override-windows', role: 'admin' }, abort];
  if (waiting?.code === 'no_success' || waiting?.code === 'gate' || waiting?.code === 'no_telemetry')
    return [{ action: 'skip-wave', role: operator }, abort];
  return [abort];
}

export function sourceItem(row: FailingSource): AttentionItem {
  return itemOf({
    kind: 'source_failing',
    subject: { type: 'source', id: row.id, name: row.name },
    title: `Source "${row.name}" cannot be read`,
    count: row.devices,
    since: row.since,
    nextTryAt: row.nextCheckAt,
    cause: shownText(`${row.code}: ${row.detail}`),
    links: { sourceId: row.id },
    actions: [{ action: 'sync', role: operator }],
  });
}

export function rejectedItem(row: RejectedRevision): AttentionItem {
  const { error, revisionId, commit } = row;
  return itemOf({
    kind: 'revision_rejected',
    subject: { type: 'source', id: row.sourceId, name: row.sourceName },
    title: rejectedTitle(row),
    count: Math.max(1, row.status === 'invalid' ? row.errors : row.folders),
    since: row.since,
    cause: error === null ? null : shownText(error.message),
    place: error === null || error.file === '' ? null : { revisionId, commit, file: error.file, line: error.line ?? null },
    links: { sourceId: row.sourceId, revisionId },
  });
}

export function integrationItem(row: IntegrationRow): AttentionItem {
  const isBlocked = row.blockedReason !== null;
  return itemOf({
    kind: isBlocked ? 'integration_blocked' : 'integration_stale',
    subject: { type: 'integration', id: row.slug, name: row.name },
    title: isBlocked
      ? `Integration "${row.name}" is blocked until it gets new credentials`
      : `Integration "${row.name}" was not synced in time`,
    count: row.devices,
    since: row.staleSince ?? row.lastSuccessAt ?? row.updatedAt,
    nextTryAt: isBlocked ? null : row.nextRunAt,
    cause: shownText(row.blockedReason ?? row.errorDetail ?? '') || null,
    links: { integration: row.slug },
    actions: isBlocked ? [] : [{ action: 'sync', role: operator }],
  });
}

export function conflictItem(row: ConflictRow): AttentionItem {
  return itemOf({
    kind: 'conflicts',
    subject: { type: 'integration', id: row.slug, name: row.name },
    title: `${counted(row.count, 'field')} of devices of "${row.name}" ${row.count === 1 ? 'was' : 'were'} changed on both sides`,
    count: row.count,
    firstDevice: row.firstDevice,
    since: row.since,
    links: { integration: row.slug, deviceId: row.firstDevice },
    actions: [{ action: 'resolve', role: operator }],
  });
}

export function notificationItem(row: NotificationRow): AttentionItem {
  const isDisabled = row.disabledReason !== null;
  return itemOf({
    kind: 'notification_failing',
    subject: { type: 'notification', id: row.id, name: row.name },
    title: isDisabled ? `Notification "${row.name}" was disabled` : `Notification "${row.name}" cannot be delivered`,
    count: Math.max(1, row.failures),
    since: row.since,
    nextTryAt: isDisabled ? null : row.dueAt,
    cause: shownText(row.disabledReason ?? row.lastError ?? '') || null,
    links: { notificationId: row.id },
    actions: isDisabled ? [{ action: 'enable', role: 'admin' }] : [],
  });
}

export function jobItem(row: JobRow, organizationId: string): AttentionItem {
  const isOwn = row.key === organizationId;
  const links: AttentionItem['links'] = {};
  if (row.queue === 'source') links.sourceId = row.key;
  if (row.queue === 'rollout' || row.queue === 'commit_status') links.rolloutId = row.key;
  if (row.firstDevice !== null) links.deviceId = row.firstDevice;
  return itemOf({
    kind: 'job_failing',
    subject: { type: 'service', id: isOwn ? row.queue : row.key, name: row.queue },
    title: `This service keeps failing to ${WORK_OF_QUEUE[row.queue] ?? row.queue}`,
    count: Math.max(1, row.devices),
    firstDevice: row.firstDevice,
    since: row.since,
    nextTryAt: row.retryAt,
    cause: shownText(row.error),
    links,
  });
}

export function clonedItem(row: DeviceRow): AttentionItem {
  return itemOf({
    kind: 'device_cloned',
    subject: { type: 'device', id: row.id, name: row.name },
    title: `Two agents use the key of device "${row.id}" in turn`,
    firstDevice: row.id,
    since: row.since,
    links: { deviceId: row.id },
  });
}

export function heldItem(row: DeviceRow): AttentionItem {
  return itemOf({
    kind: 'device_held',
    subject: { type: 'device', id: row.id, name: row.name },
    title: `Device "${row.id}" is held by ${row.by ?? 'nobody'} for more than a day`,
    firstDevice: row.id,
    since: row.since,
    cause: shownText(row.reason ?? '') || null,
    links: { deviceId: row.id },
    actions: [{ action: 'release', role: operator }],
  });
}

export function reenrolmentItem(row: ReenrolmentRow): AttentionItem {
  return itemOf({
    kind: 'device_reenrolment',
    subject: { type: 'device', id: row.deviceId, name: row.deviceId },
    title: `A machine at ${row.address ?? 'an unknown address'} requests to enrol as device "${row.deviceId}"`,
    firstDevice: row.deviceId,
    since: row.since,
    links: { deviceId: row.deviceId },
    actions: [{ action: 'allow-reenrolment', role: operator }],
  });
}

export function quarantinedFound({ count, firstDevice }: Quarantined): Found {
  if (count === 0) return { items: [], more: 0 };
  const title = `${counted(count, 'device')} ${count === 1 ? 'keeps' : 'keep'} the present bundle in quarantine and ${count === 1 ? 'does' : 'do'} not get it again`;
  const links = firstDevice === null ? {} : { deviceId: firstDevice };
  const subject = { type: 'devices', id: 'quarantined', name: 'devices in quarantine' } as const;
  return { items: [itemOf({ kind: 'device_quarantined', subject, title, count, firstDevice, since: null, links })], more: 0 };
}

/** Lists whose rows carry their total. */
export function listed<Row extends { total: number }>(rows: readonly Row[], view: (row: Row) => AttentionItem): Found {
  return foundOf(rows, rows[0]?.total ?? 0, view);
}

export function counts<Row>(rows: readonly Row[], view: (row: Row) => AttentionItem): Found {
  return foundOf(rows, rows.length, view);
}
