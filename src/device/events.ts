import type { NewEvent } from '../event/event.ts';
import type { Unit } from '../event/transact.ts';
import type { EventData, EventType } from '../wire/event/events.ts';
import { type Device, legacyStatus } from './device.ts';

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
export function emitStanding<Type extends StandingEvent>(
  { emit }: Pick<Unit, 'emit'>,
  type: Type,
  device: DeviceStanding,
  more?: Omit<EventData<Type>, 'status' | 'syncStatus' | 'connectivity'>,
): void {
  const { organizationId, id, syncStatus, connectivity } = device;
  const data = { status: legacyStatus(device), syncStatus, connectivity, ...more };
  // The compiler cannot see that the standing and the rest make the whole.
  emit({ organizationId, type, subject: `device:${id}`, data } as NewEvent);
}
