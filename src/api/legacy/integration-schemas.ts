import { z } from '@hono/zod-openapi';
import type { Integration } from '../../integration/integration.ts';

/** Bodies of the earlier integrations, in snake_case. Unknown fields are accepted, because clients in the field send them. */

const time = z.iso.datetime();
const hours = z.number().int().min(1).max(24);
const name = z.string().trim().min(1).max(50);

export const LegacyNewIntegration = z
  .object({
    device_type: z.string().max(60).openapi({ description: 'garmin, xiaomi, strava, apple or manual' }),
    device_name: name,
    sync_interval_hours: hours.optional().openapi({ description: "Default: the type's, 1 to 24" }),
    auto_sync_enabled: z.boolean().default(true),
  })
  .openapi('DeviceIntegrationCreate');

export const LegacyIntegrationChange = z
  .object({ device_name: name.nullish(), sync_interval_hours: hours.nullish(), auto_sync_enabled: z.boolean().nullish() })
  .openapi('DeviceIntegrationUpdate');

const SyncConfig = z
  .object({
    sync_interval_hours: z.number().openapi({ description: 'A fraction for integrations that sync more often than once an hour' }),
    auto_sync_enabled: z.boolean(),
    last_sync: time.nullable(),
    next_sync: time.nullable(),
    sync_error: z.string().nullable(),
  })
  .openapi('DeviceSyncConfig');

export const LegacyIntegration = z
  .object({
    device_id: z.string(),
    device_type: z.string(),
    device_name: z.string(),
    sync_config: SyncConfig,
    is_primary: z.boolean(),
    connected_at: time,
  })
  .openapi('DeviceIntegration');

export const LegacyIntegrations = z
  .object({ primary_device: z.string(), devices_enabled: z.boolean(), devices: z.array(LegacyIntegration) })
  .openapi('DeviceIntegrationList');

const SYNC_WORDS = ['idle', 'syncing', 'success', 'error'] as const;
export const LegacySyncStatus = z
  .object({
    device_id: z.string(),
    last_sync: time.nullable(),
    next_sync: time.nullable(),
    sync_status: z.enum(SYNC_WORDS),
    message: z.string().nullable(),
  })
  .openapi('DeviceSyncStatus');

export function viewLegacyIntegration(integration: Integration): z.output<typeof LegacyIntegration> {
  return {
    device_id: integration.slug,
    device_type: integration.type,
    device_name: integration.name,
    sync_config: {
      sync_interval_hours: integration.intervalSeconds / 3_600,
      auto_sync_enabled: integration.autoSync,
      last_sync: integration.lastRunAt?.toISOString() ?? null,
      next_sync: integration.nextRunAt?.toISOString() ?? null,
      sync_error: integration.errorDetail,
    },
    is_primary: integration.isPrimary,
    connected_at: integration.createdAt.toISOString(),
  };
}

/** `idle`: no sync has ended yet. */
export function syncWord(
  { errorCode, lastRunAt }: Pick<Integration, 'errorCode' | 'lastRunAt'>,
  isRunning: boolean,
): (typeof SYNC_WORDS)[number] {
  if (isRunning) return 'syncing';
  if (errorCode !== null) return 'error';
  return lastRunAt === null ? 'idle' : 'success';
}
