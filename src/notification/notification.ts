import type { Event, NewEvent } from '../event/event.ts';
import type { EventData, EventType } from '../wire/event/events.ts';
import type { Filter } from './filter.ts';

export const FORMATS = ['cloudevents', 'json', 'slack'] as const;
export type Format = (typeof FORMATS)[number];

/** An outgoing webhook. The service posts the events that match its filter to its URL, in their order, each until it succeeds or expires. */
export type Notification = Filter & {
  organizationId: string;
  id: string;
  name: string;
  /** The URL may be a credential by itself, as for chat services. */
  urlSealed: string;
  /** A hint for display: its origin, and the last characters of the rest. */
  urlHint: string;
  format: Format;
  enabled: boolean;
  /** Why the service disabled it; null: a user did, or it is enabled. */
  disabledReason: string | null;
  secretSealed: string;
  secretLast4: string;
  /** The previous secret signs in addition to the current one until this time. */
  previousSecretSealed: string | null;
  previousSecretUntil: Date | null;
  /** All events up to this one are processed: each is a delivery, did not match the filter, or is counted in `dropped`. */
  cursor: number;
  /** Number of wanted events without any attempt, because they were too old or too many. */
  dropped: number;
  /** Time of the next processing; null while no event waits. */
  dueAt: Date | null;
  /** Number of failed attempts since the last success. */
  failures: number;
  lastError: string | null;
  lastDeliveredAt: Date | null;
  version: number;
  createdAt: Date;
  updatedAt: Date;
};

/** An event on its way to a notification's URL. */
export type Delivery = {
  /** The same for every attempt. It is the `webhook-id` by which receivers recognise repetitions. */
  id: string;
  notificationId: string;
  eventCursor: number;
  eventType: string;
  subject: string;
  state: 'pending' | 'delivered' | 'failed';
  attempts: number;
  /** After this time the delivery fails. */
  expiresAt: Date;
  createdAt: Date;
  finishedAt: Date | null;
};

export const MAX_PER_ORGANIZATION = 100;
/** A delivery fails if no attempt succeeds within this time. */
export const DELIVER_WITHIN_HOURS = 24;
/** Limit of wanted events that wait after the cursor. If there are more, the oldest are dropped. */
export const MAX_BACKLOG = 100_000;
/** A replaced secret keeps signing for this long. */
export const SECRET_GRACE_HOURS = 24;
/** After this many failures in a row, the service emits `notification.failing`. */
export const FAILURES_TO_REPORT = 3;

type NotificationEventType = EventType & `notification.${string}`;

export function eventOf<Type extends NotificationEventType>(
  notification: Pick<Notification, 'organizationId' | 'id' | 'name'>,
  type: Type,
  data: Omit<EventData<Type>, 'name'>,
): NewEvent {
  const { organizationId, id, name } = notification;
  // The compiler cannot infer that the name and the rest form the whole type.
  return { organizationId, type, subject: `notification:${id}`, data: { name, ...data } } as NewEvent;
}

/** The event of a test delivery, which is not in the event log. */
export function testEvent(notification: Pick<Notification, 'organizationId' | 'id' | 'name'>, now: Date): Event {
  return { ...eventOf(notification, 'notification.test', {}), cursor: 0, at: now };
}
