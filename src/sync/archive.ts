import { archiveShadows } from '../device/store/shadows.ts';
import { lockDevices } from '../device/store.ts';
import { goneDevices, noteGoneLocals } from '../integration/store/assignments.ts';
import { type DeviceLine, logDevices } from '../integration/store/sync-log.ts';
import { cancelDeployments } from '../rollout/converge.ts';
import type { Running } from './record.ts';

/** Devices per transaction. */
const BATCH = 500;
/** Pages that shift while they are read can hide a device from one walk. */
const WALKS_WITHOUT = 2;

const GONE = 'The platform no longer has the device; assign it again to create it anew, or remove its assignment';

/** Archives shadow devices that two complete walks in a row have not shown. The devices of this service itself only get an error. */
export async function archiveGone(running: Running): Promise<void> {
  const { deps, context } = running;
  const { integration, walk, runId } = context;
  const { organizationId, slug, name } = integration;
  const lastSeen = walk - WALKS_WITHOUT;
  for (;;) {
    const ids = await goneDevices(deps.store.sql, integration, lastSeen, BATCH);
    if (ids.length === 0) break;
    await running.advance(async (unit) => {
      await lockDevices(unit.tx, organizationId, ids);
      await archiveShadows(unit.tx, organizationId, ids);
      await cancelDeployments(unit, organizationId, ids);
      await logDevices(unit.tx, integration, runId, ids.map(archiveLine));
      unit.emit({ organizationId, type: 'device.archived', subject: `integration:${slug}`, data: { name, deviceIds: ids } });
      return { counts: { archived: ids.length } };
    });
  }
  await running.advance(async ({ tx }) => ({ counts: { failed: (await noteGoneLocals(tx, integration, lastSeen, GONE)).length } }));
}

function archiveLine(deviceId: string): DeviceLine {
  return { deviceId, externalId: null, operation: 'archive', direction: 'import', status: 'succeeded', details: {} };
}
