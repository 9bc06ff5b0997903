import type { NewEvent } from '../event/event.ts';
import type { Unit } from '../event/transact.ts';
import type { EventData, EventType } from '../wire/event/events.ts';
import { type Device, legacyStatus } from './device.ts';

/** Columns of a device's row that dashboards show. */
export type DeviceStanding = Pick<Device, 'organizationId' | 'id' | 'syncStatus' | 'connectivity'>;

/** Events that carry the device's standing after them. */
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
 * Emits an event with the standing of the device. This is the only function that emits such events, so that none lacks a field of the dashboards.
 * @param device its row at the end of the transaction
 */
export function emitStanding<Type extends StandingEvent>(
  { emit }: Pick<Unit, 'emit'>,
  type: Type,
  device: DeviceStanding,
  more?: Omit<EventData<Type>, 'status' | 'syncStatus' | 'connectivity'>,
): void {
  const { organizationId, id, syncStatus, connectivity } = device;
  const data = { status: legacyStatus(device), syncStatus, connectivity, ...more };
  // The compiler cannot infer that the standing and `more` make the whole event data.
  emit({ organizationId, type, subject: `device:${id}`, data } as NewEvent);
}
