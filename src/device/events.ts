import type { EventType } from '../event/event.ts';
import type { Unit } from '../event/transact.ts';
import { type Device, type SyncStatus, seedStatus } from './device.ts';

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

type More = {
  /** The status before. */
  previous?: SyncStatus;
  /** Of a device that fell silent; RFC 3339. */
  lastSeenAt?: string | null;
  /** Of a hold that ended by itself. */
  reason?: string;
  revisionId?: string;
};

/**
 * Emits a fact with the standing of the device. Every such event comes from here, so that none lacks what dashboards need.
 * @param device its row as the transaction leaves it
 */
export function emitStanding({ emit }: Pick<Unit, 'emit'>, type: StandingEvent, device: DeviceStanding, more: More = {}): void {
  const { organizationId, id, syncStatus, connectivity } = device;
  emit({ organizationId, type, subject: `device:${id}`, data: { status: seedStatus(device), syncStatus, connectivity, ...more } });
}
