import { runPushes } from '../../src/push/run.ts';
import type { Controller } from '../context.ts';
import { DevicesFailed } from '../devices-failed.ts';

/**
 * Delivers to the devices with push adapters. Devices that pull are not included.
 * @throws DevicesFailed after all other deliveries
 */
export async function reconcileDeliveries(
  { store, adapters, box }: Controller,
  organizationId: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const { failed, isCutShort } = await runPushes({ store, adapters, box }, organizationId, signal);
  if (isCutShort) await store.queue.enqueueAgain('deployment', organizationId);
  if (failed.size > 0) throw new DevicesFailed(failed);
}
