import { z } from 'zod';
import type { Event } from '../event/event.ts';
import { EVENT_TYPES, kindOf } from '../wire/event/events.ts';
import type { DeviceUpdate, LiveEvent, Topic } from '../wire/live.ts';
import type { MissedFilter, ShownDevice } from './store.ts';

/** Maps events to topics, and to the `device_update` that they cause. */

const showing = (which: 'subject' | 'deviceIds') => EVENT_TYPES.filter((type) => kindOf(type).shows === which);
/** Facts that change how their device is shown. */
const DEVICE_FACTS = showing('subject');
/** Facts about the service that change how many devices are shown: `data.deviceIds`. */
const SERVICE_FACTS = showing('deviceIds');
const INTEGRATION_PREFIXES = ['integration:', 'conflict:'] as const;

/** Topics whose subscribers get the event itself. */
export function topicsOf(event: Event): Topic[] {
  const topics = ['events'];
  if (/^(device|rollout):/.test(event.subject)) topics.push(event.subject);
  if (INTEGRATION_PREFIXES.some((prefix) => event.subject.startsWith(prefix))) topics.push('integrations');
  // Listeners of a rollout also receive the events of its devices.
  const rolloutId = event.data.rolloutId;
  if (typeof rolloutId === 'string' && event.subject !== `rollout:${rolloutId}`) topics.push(`rollout:${rolloutId}`);
  return topics;
}

/** Topics whose subscribers get the device's updates. */
export function topicsOfDevice(deviceId: string): Topic[] {
  return ['devices', `device:${deviceId}`];
}

/** The events to read for a subscriber of these topics. Topics that need `device_update` alone read a little more than they send. */
export function wantedBy(topics: readonly Topic[]): MissedFilter['wanted'] {
  if (topics.includes('events')) return 'all';
  const ofDevices = topics.includes('devices') || topics.some((topic) => topic.startsWith('device:'));
  return {
    subjects: topics.filter((topic) => topic.includes(':')),
    types: [...(topics.includes('devices') ? DEVICE_FACTS : []), ...(ofDevices ? SERVICE_FACTS : [])],
    subjectPrefixes: topics.includes('integrations') ? INTEGRATION_PREFIXES : [],
    rolloutIds: topics.filter((topic) => topic.startsWith('rollout:')).map((topic) => topic.slice('rollout:'.length)),
  };
}

export function toMessage(event: Event): LiveEvent {
  const { cursor, type, organizationId, subject, data } = event;
  return { cursor, type, at: event.at.toISOString(), organizationId, subject, data };
}

/** Devices whose shown state the event changed. */
function devicesChangedBy(event: Event): string[] {
  if (SERVICE_FACTS.includes(event.type)) return DeviceIds.safeParse(event.data.deviceIds).data ?? [];
  return DEVICE_FACTS.includes(event.type) && event.subject.startsWith('device:') ? [event.subject.slice('device:'.length)] : [];
}

const DeviceIds = z.array(z.string());

const StatusData = z.object({
  status: z.enum(['ONLINE', 'OFFLINE', 'ERROR', 'UPDATING']),
  syncStatus: z.string(),
  connectivity: z.string(),
  deploymentId: z.string().nullish(),
});

/**
 * The last update of each device that the events changed, in the order of those last changes. `load` is asked once, for the devices whose
 * event does not say how they stand.
 */
export async function deviceUpdates(
  events: readonly Event[],
  load: (ids: readonly string[]) => Promise<ReadonlyMap<string, ShownDevice>>,
): Promise<DeviceUpdate[]> {
  const last = new Map<string, Event>();
  for (const event of events) {
    for (const id of devicesChangedBy(event)) {
      last.delete(id);
      last.set(id, event);
    }
  }
  const withoutState = [...last].filter(([, event]) => event.type !== 'device.status' && event.type !== 'device.deleted').map(([id]) => id);
  const shown = await load(withoutState);
  return [...last].flatMap(([id, event]) => {
    const update = updateOf(id, event, shown.get(id));
    return update === null ? [] : [update];
  });
}

/** null: the device is deleted, and its own event reports that. */
function updateOf(id: string, event: Event, shown: ShownDevice | undefined): DeviceUpdate | null {
  const base = { device_id: id, timestamp: event.at.toISOString(), cursor: event.cursor };
  if (event.type === 'device.deleted')
    return { ...base, status: 'OFFLINE', sync_status: 'unmanaged', connectivity: 'unknown', deleted: true };
  const state = event.type === 'device.status' ? StatusData.safeParse(event.data).data : shown;
  if (state === undefined) return null;
  // Nobody watches the devices of a service that is stopping: its dashboards show them as offline until it is back.
  const status = event.type === 'service.not_watching' ? 'OFFLINE' : state.status;
  const deployment = typeof state.deploymentId === 'string' ? { deployment: state.deploymentId } : {};
  return { ...base, status, sync_status: state.syncStatus, connectivity: state.connectivity, ...deployment };
}
