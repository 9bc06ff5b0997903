import { z } from '@hono/zod-openapi';
import { type Device, legacyStatus } from '../../device/device.ts';
import { DEVICE_ID_RULE, matching } from '../../wire/names.ts';

/** Bodies of the earlier device protocol, in snake_case. Unknown fields are accepted, because clients in the field send them. */

const time = z.iso.datetime();

export const LegacyNewDevice = z
  .object({
    device_id: z
      .string()
      .regex(...matching(DEVICE_ID_RULE))
      .openapi({ example: 'pos-7' }),
    name: z.string().trim().min(1).max(200).optional(),
    device_type: z.string().trim().min(1).max(100).default('device'),
    ip_address: z.string().trim().max(253).nullish(),
  })
  .openapi('SeedNewDevice');

const legacyStatuses = z.enum(['ONLINE', 'OFFLINE', 'ERROR', 'UPDATING']);

export const LegacyRegisteredDevice = z
  .object({
    device_id: z.string(),
    name: z.string(),
    device_type: z.string(),
    ip_address: z.string().nullable(),
    site_id: z.string(),
    status: legacyStatuses,
    created_at: time,
    api_key: z.string().openapi({ description: 'Shown only once' }),
  })
  .openapi('SeedRegisteredDevice');

/** The label that holds a device's address. */
export const IP_LABEL = 'ip_address';

export function viewLegacyDevice(device: Device, siteId: string, apiKey: string): z.output<typeof LegacyRegisteredDevice> {
  return {
    device_id: device.id,
    name: device.name,
    device_type: device.type,
    ip_address: device.labels[IP_LABEL] ?? null,
    site_id: siteId,
    status: legacyStatus(device),
    created_at: device.createdAt.toISOString(),
    api_key: apiKey,
  };
}

export const LegacyDashboardDevice = z
  .object({
    id: z.string(),
    device_id: z.string(),
    name: z.string(),
    device_type: z.string(),
    status: legacyStatuses,
    auto_update: z.boolean(),
    check_interval: z.number().nullable().openapi({ description: 'Seconds' }),
    repository: z.string().nullable(),
    branch: z.string().nullable(),
    path: z.string().nullable(),
    last_commit: z.string().nullable(),
    last_seen: time.nullable(),
    error: z.string().nullable(),
    timestamp: time,
  })
  .openapi('SeedDashboardDevice');

export const LegacyDashboardStatus = LegacyDashboardDevice.extend({
  logs: z.array(z.object({ timestamp: time, level: z.string(), message: z.string() })),
}).openapi('SeedDashboardStatus');

export const LegacyCommanded = z.object({ device_id: z.string(), status: legacyStatuses, timestamp: time }).openapi('SeedActed');

export const LegacyCommandStatus = z
  .object({
    status: z.enum(['sent', 'completed', 'failed']),
    result: z.unknown().optional(),
    executed_at: z.string().max(64).nullish().openapi({ description: 'Time of the device’s clock; accepted but not used' }),
  })
  .openapi('SeedCommandStatus');

export const LegacyHeartbeat = z
  .object({ device_id: z.string().max(200).optional(), timestamp: z.union([z.string().max(64), z.number()]).nullish() })
  .openapi('SeedHeartbeat');

const measured = z.number().nullish();

export const LegacyMetrics = z
  .looseObject({
    device_id: z.string().max(200).optional(),
    timestamp: z.union([z.string().max(64), z.number()]).nullish(),
    cpu_percent: measured,
    memory_percent: measured,
    disk_percent: measured,
    network_latency_ms: measured,
    transaction_count: measured,
    transaction_volume: measured,
    error_rate: measured,
    active_connections: measured,
    queue_depth: measured,
    extra_metrics: z.record(z.string(), z.unknown()).nullish(),
  })
  .openapi('SeedDeviceMetrics');
export type LegacyMetrics = z.output<typeof LegacyMetrics>;

/** One sample holds at most this many measurements. The others are dropped. */
const MAX_METRICS = 200;
const MAX_NAME_CHARS = 64;
const MAX_DEPTH = 4;

/**
 * The numbers of a sample by name, with those in `extra_metrics`. A nested number is named by its path (`disk.sda`). A field of the protocol wins over
 * an extra one of the same name. Values that are not finite numbers are dropped.
 */
export function metricsOf(sample: LegacyMetrics): Record<string, number> {
  const { device_id: _deviceId, timestamp: _timestamp, extra_metrics: extra, ...fields } = sample;
  const found = new Map<string, number>();
  gather(found, '', fields, 1);
  gather(found, '', extra ?? {}, MAX_DEPTH);
  return Object.fromEntries(found);
}

function gather(found: Map<string, number>, prefix: string, values: object, depth: number): void {
  for (const [key, value] of Object.entries(values)) {
    const name = prefix + key;
    if (found.size >= MAX_METRICS || name.length > MAX_NAME_CHARS || found.has(name)) continue;
    if (typeof value === 'number' && Number.isFinite(value)) found.set(name, value);
    else if (depth > 1 && typeof value === 'object' && value !== null && !Array.isArray(value)) gather(found, `${name}.`, value, depth - 1);
  }
}

/** The time of a sample: the device's, if it is valid and not in the future, else `now`. */
export function sampledAt(sample: Pick<LegacyMetrics, 'timestamp'>, now: Date): Date {
  const { timestamp } = sample;
  if (timestamp === undefined || timestamp === null) return now;
  const named = new Date(typeof timestamp === 'number' ? timestamp * 1000 : inUtc(timestamp));
  return Number.isNaN(named.getTime()) || named > now || named < EARLIEST ? now : named;
}

/** Earlier times come from clocks without a battery: the protocol is younger than this. */
const EARLIEST = new Date('2020-01-01T00:00:00Z');

/** Python's `datetime.isoformat()` names no zone for a time in UTC. */
function inUtc(timestamp: string): string {
  return /(?:Z|[+-]\d{2}:?\d{2})$/i.test(timestamp) ? timestamp : `${timestamp}Z`;
}
