import type { InfiniteData, QueryClient } from '@tanstack/react-query';
import type { DeviceUpdate } from '../../../src/wire/live.ts';
import { outdate } from '../api/query.ts';
import type { Device } from '../generated/api.ts';
import type { LiveBatch } from './connection.ts';

/** A resource is read again at most once in this time, the first time at once. */
const SPACING_MS = 1_000;

/** Resources whose answers an event changes, by the first word of its type. */
const OUTDATED: Record<string, readonly string[]> = {
  device: ['devices', 'summary', 'attention', 'sites'],
  workspace: ['devices', 'attention'],
  deployment: ['devices', 'rollouts'],
  command: ['devices'],
  rollout: ['rollouts', 'attention', 'summary', 'sources'],
  revision: ['revisions', 'sources', 'attention'],
  source: ['sources', 'attention', 'summary'],
  hook: ['sources'],
  merge_request: ['sources'],
  site: ['sites'],
  integration: ['integrations', 'attention', 'summary'],
  integrations: ['integrations'],
  conflict: ['conflicts', 'integrations', 'attention'],
  notification: ['notifications', 'attention'],
  job: ['attention'],
};

/** Puts what a batch says into the reads that the page shows: rows of devices change in place, all else is read again. */
export function followEvents(client: QueryClient): (batch: LiveBatch) => void {
  const outdateSpaced = spaced((resource) => void outdate(client, [resource]), SPACING_MS);
  return ({ events, updates }) => {
    if (updates.length > 0) updateRows(client, updates);
    const resources = new Set(events.flatMap(({ type }) => OUTDATED[type.split('.')[0] ?? ''] ?? []));
    if (updates.length > 0) for (const resource of ['devices', 'summary', 'attention']) resources.add(resource);
    if (events.length > 0) for (const resource of ['events', 'audit']) resources.add(resource);
    for (const resource of resources) outdateSpaced(resource);
  };
}

type DevicePages = InfiniteData<{ items: Device[]; nextCursor: string | null }>;

function updateRows(client: QueryClient, updates: readonly DeviceUpdate[]): void {
  const byId = new Map(updates.map((update) => [update.device_id, update]));
  client.setQueriesData<DevicePages>(
    { predicate: ({ queryKey }) => queryKey[0] === 'GET /api/v1/devices' && queryKey[2] === 'pages' },
    (old) =>
      old && {
        ...old,
        pages: old.pages.map((page) => ({ ...page, items: page.items.map((device) => updated(device, byId.get(device.id))) })),
      },
  );
}

function updated(device: Device, update: DeviceUpdate | undefined): Device {
  if (update === undefined) return device;
  return {
    ...device,
    syncStatus: update.sync_status as Device['syncStatus'],
    connectivity: update.connectivity as Device['connectivity'],
    updatedAt: update.timestamp,
  };
}

/** Calls `act` for a key at once, then at most once per `spacingMs`, and once more after the last ask. */
export function spaced(act: (key: string) => void, spacingMs: number): (key: string) => void {
  const asked = new Map<string, boolean>();
  const run = (key: string) => {
    act(key);
    asked.set(key, false);
    setTimeout(() => {
      if (asked.get(key) === true) run(key);
      else asked.delete(key);
    }, spacingMs);
  };
  return (key) => {
    if (asked.has(key)) asked.set(key, true);
    else run(key);
  };
}
