import type { EventType } from '../event/event.ts';
import type { Unit } from '../event/transact.ts';
import { type Device, seedStatus } from './device.ts';

/** The columns of a device's row that dashboards show. */
export type DeviceStanding = Pick<Device, 'organizationId' | 'id' | 'syncStatus' | 'connectivity'>;

/** Facts that carry how the device stands after them. */
type StandingEvent = Extract<
  EventType,
  | 'device.status'
  | 'device.started'
  | 'device.stopped'
  | 'device.held'
  | 'device.released'
  | 'device.reenrolment_allowed'
  | 'device.reenrolment_refused'
>;

/**
 * Emits a fact with the standing of the device. Every such event comes from here, so that none lacks what dashboards need.
 * @param device its row as the transaction leaves it
 */
export function emitStanding(
  { emit }: Pick<Unit, 'emit'>,
  type: StandingEvent,
  device: DeviceStanding,
  more: Record<string, unknown> = {},
): void {
  const { organizationId, id, syncStatus, connectivity } = device;
  emit({ organizationId, type, subject: `device:${id}`, data: { status: seedStatus(device), syncStatus, connectivity, ...more } });
}
