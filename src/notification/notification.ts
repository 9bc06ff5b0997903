import type { Event, NewEvent } from '../event/event.ts';
import type { EventData, EventType } from '../wire/event/events.ts';
import type { Filter } from './filter.ts';

export const FORMATS = ['cloudevents', 'json', 'slack'] as const;
export type Format = (typeof FORMATS)[number];

/** A webhook of ours: the events that its filter lets through are posted to its URL, each until it is taken or given up, in their order. */
export type Notification = Filter & {
  organizationId: string;
  id: string;
  name: string;
  /** The URL may be a credential by itself, as those of chat services are. */
  urlSealed: string;
  /** What is shown of it: its origin, and the last characters behind that. */
  urlHint: string;
  format: Format;
  enabled: boolean;
  /** Why the service itself disabled it. */
  disabledReason: string | null;
  secretSealed: string;
  secretLast4: string;
  /** Signs beside the present one until then. */
  previousSecretSealed: string | null;
  previousSecretUntil: Date | null;
  /** Events up to it are decided: each is a delivery, was let through by no filter, or is counted in `dropped`. */
  cursor: number;
  /** Events that were wanted and never tried: too old or too many when their turn came. */
  dropped: number;
  /** When it is to be worked at; null while nothing is known to wait. */
  dueAt: Date | null;
  /** Attempts since the last one that was taken. */
  failures: number;
  lastError: string | null;
  lastDeliveredAt: Date | null;
  version: number;
  createdAt: Date;
  updatedAt: Date;
};

/** An event on its way to a notification's URL. */
export type Delivery = {
  /** Stays the same however often it is sent: the `webhook-id` by which receivers know repetitions. */
  id: string;
  notificationId: string;
  eventCursor: number;
  eventType: string;
  subject: string;
  state: 'pending' | 'delivered' | 'failed';
  attempts: number;
  /** Past it, it is given up. */
  expiresAt: Date;
  createdAt: Date;
  finishedAt: Date | null;
};

export const MAX_PER_ORGANIZATION = 100;
/** An event that could not be delivered within this is given up. */
export const DELIVER_WITHIN_HOURS = 24;
/** Wanted events that may wait behind the cursor; of more, the oldest are dropped. */
export const MAX_BACKLOG = 100_000;
/** So long the secret that was replaced signs too. */
export const SECRET_GRACE_HOURS = 24;
/** So many attempts in a row fail before the organization is told that the notification is failing. */
export const FAILURES_TO_REPORT = 3;

type NotificationEventType = EventType & `notification.${string}`;

export function eventOf<Type extends NotificationEventType>(
  notification: Pick<Notification, 'organizationId' | 'id' | 'name'>,
  type: Type,
  data: Omit<EventData<Type>, 'name'>,
): NewEvent {
  const { organizationId, id, name } = notification;
  // The compiler cannot see that the name and the rest make the whole.
  return { organizationId, type, subject: `notification:${id}`, data: { name, ...data } } as NewEvent;
}

/** What a notification is tried with: an event that is not in the log. */
export function testEvent(notification: Pick<Notification, 'organizationId' | 'id' | 'name'>, now: Date): Event {
  return { ...eventOf(notification, 'notification.test', {}), cursor: 0, at: now };
}
