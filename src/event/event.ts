import type { EventData, EventType } from '../wire/event/events.ts';

/** A fact that happened. Append-only, numbered per organization, broadcast live. Its type determines the schema of its data. */
export type NewEvent<Type extends EventType = EventType> = {
  [Each in Type]: {
    organizationId: string;
    /** Noun and past participle, for example `deployment.succeeded`, `source.synced`. */
    type: Each;
    /** `<noun>:<id>`, for example `device:terminal-7`. */
    subject: string;
    data: EventData<Each>;
  };
}[Type];

/** A stored event. An earlier version may have written it, so that readers must check its data. */
export type Event = { organizationId: string; type: EventType; subject: string; data: Record<string, unknown>; cursor: number; at: Date };

/** An event as JSON, for the API, live updates and webhooks alike. */
export type EventJson = Omit<Event, 'at'> & { at: string };

export function viewEvent(event: Event): EventJson {
  const { cursor, type, organizationId, subject, data } = event;
  return { cursor, type, at: event.at.toISOString(), organizationId, subject, data };
}
