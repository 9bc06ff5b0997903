import type { z } from 'zod';
import { DEVICE_EVENTS } from './device.ts';
import { INTEGRATION_EVENTS } from './integration.ts';
import type { EventKind } from './kind.ts';
import { ROLLOUT_EVENTS } from './rollout.ts';
import { SERVICE_EVENTS } from './service.ts';
import { SOURCE_EVENTS } from './source.ts';

/**
 * Every type of event with its severity, sentence and data. The table is in `wire/` because the service publishes events unchanged: through
 * the API, live connections and notifications. The dashboard, which imports `wire/` alone, reads the same table.
 *
 * The schemas type the emitting code, describe the API, and check events in tests. Production code parses no event.
 */
export const EVENTS = {
  ...DEVICE_EVENTS,
  ...SOURCE_EVENTS,
  ...ROLLOUT_EVENTS,
  ...INTEGRATION_EVENTS,
  ...SERVICE_EVENTS,
} satisfies Record<string, EventKind>;

export type EventType = keyof typeof EVENTS;
export type EventData<Type extends EventType> = z.input<(typeof EVENTS)[Type]['data']>;

export const EVENT_TYPES = Object.keys(EVENTS) as readonly EventType[];

export function kindOf(type: EventType): EventKind {
  return EVENTS[type];
}
