import { z } from '@hono/zod-openapi';
import { COMMAND_TTL_SECONDS, type Command } from '../../command/command.ts';
import { shownCommand } from '../../command/redact.ts';
import type { Deployment } from '../../deployment/store.ts';
import { type Device, SYNC_STATUSES } from '../../device/device.ts';
import type { ListedDevice as Listed } from '../../device/store/list.ts';
import type { StoredLine } from '../../device/store/logs.ts';
import { DEVICE_FIELDS } from '../../inventory/new-device.ts';
import { DEPLOYMENT_STATES } from '../../wire/deployment.ts';

const time = z.iso.datetime();
const attributes = z.record(z.string().min(1).max(100), z.unknown()).openapi({
  description: "Fields that the device's integration carries to its platform, merged over the present ones",
  example: { tags: ['hall'] },
});
export const DeviceChange = z
  .strictObject({ ...z.object(DEVICE_FIELDS).partial().shape, attributes: attributes.optional() })
  .openapi('DeviceChange');

export const DeviceView = z
  .object({
    id: z.string(),
    name: z.string(),
    type: z.string(),
    labels: z.record(z.string(), z.string()),
    siteId: z.string().nullable(),
    adapter: z.string(),
    simulated: z.boolean(),
    sourceKind: z.enum(['LOCAL', 'EXTERNAL']).openapi({ description: 'EXTERNAL: a shadow of a device that an integration manages' }),
    integrationMetadata: z
      .record(z.string(), z.unknown())
      .nullable()
      .openapi({ description: 'Details that the platform of the device shows about it; null without an integration' }),
    archivedAt: time.nullable().openapi({ description: 'Since when the device is gone at its platform' }),
    sourceId: z.string().nullable(),
    path: z.string().nullable(),
    following: z.boolean(),
    syncStatus: z.enum(SYNC_STATUSES),
    syncSince: time,
    connectivity: z.enum(['online', 'offline', 'unknown']),
    lastSeenAt: time.nullable(),
    agentVersion: z.string().nullable(),
    desired: z.object({ bundle: z.string(), revisionId: z.string().nullable(), deploymentId: z.string().nullable() }).nullable(),
    reported: z.object({ bundle: z.string() }).nullable(),
    lastGood: z.object({ bundle: z.string(), revisionId: z.string().nullable() }).nullable(),
    error: z.object({ code: z.string(), detail: z.string() }).nullable(),
    hold: z.object({ at: z.string(), by: z.string(), reason: z.string(), untilNewerRevision: z.boolean() }).nullable(),
    clonedSince: time.nullable().openapi({ description: "Since when two agents use the device's key; null: only one does" }),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Device');

export function viewDevice(device: Device): z.output<typeof DeviceView> {
  const { hold } = device;
  return {
    id: device.id,
    name: device.name,
    type: device.type,
    labels: device.labels,
    siteId: device.siteId,
    adapter: device.adapter,
    simulated: device.simulated,
    sourceKind: device.sourceKind,
    integrationMetadata: device.integrationMetadata,
    archivedAt: device.archivedAt?.toISOString() ?? null,
    sourceId: device.sourceId,
    path: device.path,
    following: device.following,
    syncStatus: device.syncStatus,
    syncSince: device.syncSince.toISOString(),
    connectivity: device.connectivity,
    lastSeenAt: device.lastSeenAt?.toISOString() ?? null,
    agentVersion: device.agentVersion,
    desired:
      device.desiredBundle === null
        ? null
        : { bundle: device.desiredBundle, revisionId: device.desiredRevisionId, deploymentId: device.deploymentId },
    reported: device.reportedBundle === null ? null : { bundle: device.reportedBundle },
    lastGood: device.goodBundle === null ? null : { bundle: device.goodBundle, revisionId: device.goodRevisionId },
    error: device.errorCode === null ? null : { code: device.errorCode, detail: device.errorDetail ?? '' },
    hold: hold === null ? null : { at: hold.at, by: hold.by, reason: hold.reason, untilNewerRevision: hold.untilNewerRevision },
    clonedSince: device.clonedSince?.toISOString() ?? null,
    createdAt: device.createdAt.toISOString(),
    updatedAt: device.updatedAt.toISOString(),
  };
}

const commit = z.string().nullable();
export const ListedDevice = DeviceView.extend({
  runningCommit: commit.openapi({ description: 'Commit of the revision that brought the bundle that it runs' }),
  headCommit: commit.openapi({ description: 'Head of its source' }),
  behind: z.boolean().nullable().openapi({ description: 'Its folder at the head has another bundle; null: its folder has none' }),
}).openapi('ListedDevice');

export function viewListedDevice(device: Listed): z.output<typeof ListedDevice> {
  const { runningCommit, headCommit, behind } = device;
  return { ...viewDevice(device), runningCommit, headCommit, behind };
}

export const RegisteredDevice = DeviceView.extend({ apiKey: z.string().openapi({ description: 'Shown only once' }) }).openapi(
  'RegisteredDevice',
);

export const DeploymentView = z
  .object({
    id: z.string(),
    deviceId: z.string(),
    rolloutId: z.string().nullable(),
    revisionId: z.string().nullable(),
    bundle: z.string(),
    previousBundle: z.string().nullable(),
    kind: z.enum(['change', 'rollback', 'heal', 'retry']),
    state: z.enum(DEPLOYMENT_STATES),
    attempt: z.number().int(),
    error: z.object({ code: z.string(), detail: z.string() }).nullable(),
    deferral: z
      .object({ until: time, reason: z.string() })
      .nullable()
      .openapi({ description: 'Until when the device postpones the attempt, and why' }),
    createdAt: time,
    deliveringAt: time.nullable(),
    applyingAt: time.nullable(),
    confirmingAt: time.nullable(),
    finishedAt: time.nullable(),
  })
  .openapi('Deployment');

export function viewDeployment(deployment: Deployment): z.output<typeof DeploymentView> {
  const { id, deviceId, rolloutId, revisionId, bundle, previousBundle, kind, state, attempt, deferredUntil, deferReason } = deployment;
  return {
    ...{ id, deviceId, rolloutId, revisionId, bundle, previousBundle, kind, state, attempt },
    error: deployment.errorCode === null ? null : { code: deployment.errorCode, detail: deployment.errorDetail ?? '' },
    deferral: state === 'queued' && deferredUntil !== null ? { until: deferredUntil.toISOString(), reason: deferReason ?? '' } : null,
    createdAt: deployment.createdAt.toISOString(),
    deliveringAt: deployment.deliveringAt?.toISOString() ?? null,
    applyingAt: deployment.applyingAt?.toISOString() ?? null,
    confirmingAt: deployment.confirmingAt?.toISOString() ?? null,
    finishedAt: deployment.finishedAt?.toISOString() ?? null,
  };
}

export const LogLineView = z
  .object({ id: z.number(), at: time, level: z.string(), message: z.string(), deploymentId: z.string().nullable() })
  .openapi('LogLine');

export function viewLogLine(line: StoredLine): z.output<typeof LogLineView> {
  return { ...line, at: line.at.toISOString() };
}

/** With our field `type`, or with `command_type` of the earlier dashboards. */
export const NewCommand = z
  .strictObject({
    type: z.string().max(64).optional(),
    command_type: z.string().max(64).optional(),
    payload: z.record(z.string(), z.unknown()).nullish(),
    ttlSeconds: z.number().int().min(10).max(86_400).default(COMMAND_TTL_SECONDS),
  })
  .refine(({ type, command_type }) => (type === undefined) !== (command_type === undefined), {
    path: ['type'],
    error: 'must be given, or command_type in its place',
  })
  .openapi('NewCommand', { example: { type: 'ping', payload: {} } });

export const CommandView = z
  .object({
    id: z.string(),
    deviceId: z.string(),
    type: z.string(),
    payload: z.record(z.string(), z.unknown()),
    state: z.enum(['queued', 'sent', 'completed', 'failed', 'expired', 'cancelled']),
    result: z.unknown(),
    createdBy: z.string(),
    createdAt: time,
    expiresAt: time,
    sentAt: time.nullable(),
    finishedAt: time.nullable(),
  })
  .openapi('Command');

export function viewCommand(command: Command): z.output<typeof CommandView> {
  const { id, deviceId, type, payload, state, result, createdBy } = shownCommand(command);
  return {
    ...{ id, deviceId, type, payload, state, result, createdBy },
    createdAt: command.createdAt.toISOString(),
    expiresAt: command.expiresAt.toISOString(),
    sentAt: command.sentAt?.toISOString() ?? null,
    finishedAt: command.finishedAt?.toISOString() ?? null,
  };
}
