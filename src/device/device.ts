import { DeviceId, type Labels } from '../wire/agent.ts';
import type { Json } from '../wire/text/json.ts';
import type { InstanceState } from './instance.ts';

/** `unverified`: the platform took the bundle, and nothing shows whether the device runs it. */
export type SyncStatus = 'unmanaged' | 'in_sync' | 'unverified' | 'pending' | 'updating' | 'failed' | 'rolled_back' | 'drifted' | 'held';
export const SYNC_STATUSES = [
  'unmanaged',
  'in_sync',
  'unverified',
  'pending',
  'updating',
  'failed',
  'rolled_back',
  'drifted',
  'held',
] as const satisfies readonly SyncStatus[];

export type Connectivity = 'online' | 'offline' | 'unknown';

/** A device is online while its last report is younger than this. The legacy API has the same rule: a heartbeat within 2 minutes. */
export const OFFLINE_AFTER_SECONDS = 120;
/** A poll counts as a report if the last report is older than this. A polling device therefore reports at least once in this time and one long poll. */
export const POLL_REPORTS_AFTER_SECONDS = 40;

export type Hold = { at: string; by: string; reason: string; untilNewerRevision: boolean; revisionId: string | null };

export type Device = InstanceState & {
  organizationId: string;
  id: string;
  name: string;
  type: string;
  labels: Labels;
  siteId: string | null;
  adapter: string;
  simulated: boolean;
  /** EXTERNAL: a shadow of a device that an integration manages. */
  sourceKind: 'LOCAL' | 'EXTERNAL';
  /** All that is a vendor's about the device; null without an integration. */
  integrationMetadata: Record<string, Json> | null;
  /** Since when the device is gone at its vendor. */
  archivedAt: Date | null;
  sourceId: string | null;
  /** Folder in the source's repository; '' for layout `repo`. */
  path: string | null;
  following: boolean;
  workspace: string | null;
  desiredBundle: string | null;
  desiredRevisionId: string | null;
  deploymentId: string | null;
  sequence: number;
  goodBundle: string | null;
  goodRevisionId: string | null;
  reportedBundle: string | null;
  /** By the device's clock. */
  reportedAt: Date | null;
  quarantinedBundle: string | null;
  driftedPaths: string[] | null;
  syncStatus: SyncStatus;
  syncSince: Date;
  connectivity: Connectivity;
  lastSeenAt: Date | null;
  agentVersion: string | null;
  errorCode: string | null;
  errorDetail: string | null;
  hold: Hold | null;
  version: number;
  createdAt: Date;
  updatedAt: Date;
};

export { DeviceId };

export function isDeviceId(text: string): boolean {
  return DeviceId.safeParse(text).success;
}

/** Returns the device's status in the values of the legacy dashboards, as `device_update` carries it. */
export function legacyStatus(device: Pick<Device, 'syncStatus' | 'connectivity'>): 'ONLINE' | 'OFFLINE' | 'ERROR' | 'UPDATING' {
  if (device.connectivity === 'offline') return 'OFFLINE';
  if (device.syncStatus === 'updating') return 'UPDATING';
  if (device.syncStatus === 'failed' || device.syncStatus === 'rolled_back') return 'ERROR';
  return device.connectivity === 'online' ? 'ONLINE' : 'OFFLINE';
}

export type DeviceKey = { organizationId: string; deviceId: string };

/** Returns one string for a device, as a key of maps. */
export function nameOf({ organizationId, deviceId }: DeviceKey): string {
  return `${organizationId} ${deviceId}`;
}
