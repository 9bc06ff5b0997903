import type { Sql } from '../db/connect.ts';
import type { Event } from '../event/event.ts';
import { eventBounds } from '../event/store.ts';
import { type DeviceUpdate, MAX_REPLAYED, MAX_TOPICS, type SubscribeAnswer, type SubscribeRequest, type Topic } from '../wire/live.ts';
import type { FeedBatch, LiveFeed } from './feed.ts';
import { isKeptSince, missedEvents, shownDevices } from './store.ts';
import { deviceUpdates, topicsOf, topicsOfDevice, wantedBy } from './updates.ts';

/** Sends messages to one socket. */
export type Outlet = {
  join(topics: readonly Topic[]): void;
  leave(topics: readonly Topic[]): void;
  event(event: Event): void;
  update(update: DeviceUpdate): void;
  /** Whether an update of this device waits to be sent to its topics. */
  isUpdateWaiting(deviceId: string): boolean;
};

/**
 * The topics of one socket. A subscription with `after` reads the missed events up to the feed's position, and keeps the events that the feed delivers
 * meanwhile. It sends both in order, and joins the topics only then: without a gap, and without a repetition.
 */
export type Subscription = {
  subscribe(request: SubscribeRequest, acknowledge: (answer: SubscribeAnswer) => void): Promise<void>;
  unsubscribe(topics: readonly Topic[]): void;
  /** Takes each batch, in order, before it is sent to the topics. */
  observe(batch: FeedBatch): void;
  close(): void;
};

type Replay = { topics: readonly Topic[]; events: Event[]; updates: DeviceUpdate[] };

export function createSubscription(sql: Sql, feed: LiveFeed, organizationId: string, outlet: Outlet): Subscription {
  /** By topic: events after this cursor were, or will be, sent to this socket. */
  const joined = new Map<Topic, number>();
  let replay: Replay | undefined;
  let closed = false;

  const wasSent = (event: Event): boolean =>
    topicsOf(event).some((topic) => (joined.get(topic) ?? Number.POSITIVE_INFINITY) < event.cursor);
  const join = (topics: readonly Topic[], after: number): void => {
    for (const topic of topics) joined.set(topic, Math.min(after, joined.get(topic) ?? after));
    outlet.join(topics);
  };

  const catchUp = async (topics: readonly Topic[], after: number, acknowledge: (answer: SubscribeAnswer) => void): Promise<void> => {
    await feed.catchUp(organizationId);
    const upTo = feed.position(organizationId);
    const pending: Replay = { topics, events: [], updates: [] };
    replay = pending;
    try {
      const missed = await missedEvents(sql, organizationId, { after, upTo, limit: MAX_REPLAYED + 1, wanted: wantedBy(topics) });
      const changed = await deviceUpdates(missed, (ids) => shownDevices(sql, organizationId, ids));
      // Checked after the read: events that are still kept now were kept during the read.
      const kept = after <= upTo && (await isKeptSince(sql, after));
      const { first, last } = await eventBounds(sql, organizationId);
      if (closed) return;
      if (!kept || missed.length > MAX_REPLAYED || pending.events.length > MAX_REPLAYED) return acknowledge(tooOld(after, first, last));
      const events = [...missed, ...pending.events].filter((event) => isIn(topicsOf(event), topics) && !wasSent(event));
      const updates = lastOfEach([...changed, ...pending.updates]).filter(
        ({ device_id: id }) => isIn(topicsOfDevice(id), topics) && !outlet.isUpdateWaiting(id),
      );
      acknowledge({ ok: true, cursor: feed.position(organizationId), replayed: events.length + updates.length });
      for (const event of events) outlet.event(event);
      for (const update of updates) outlet.update(update);
      join(topics, after);
    } finally {
      replay = undefined;
    }
  };

  return {
    subscribe: async ({ topics: asked, after }, acknowledge) => {
      const topics = [...new Set(asked)];
      const total = new Set([...joined.keys(), ...topics]).size;
      if (total > MAX_TOPICS) return acknowledge(tooManyTopics(total));
      if (after !== undefined) return catchUp(topics, after, acknowledge);
      const cursor = feed.position(organizationId);
      join(topics, cursor);
      acknowledge({ ok: true, cursor, replayed: 0 });
    },
    unsubscribe: (topics) => {
      for (const topic of topics) joined.delete(topic);
      outlet.leave(topics);
    },
    observe: ({ events, updates }) => {
      // Past the bound the subscription is refused, and later events need not be kept.
      if (replay === undefined || replay.events.length > MAX_REPLAYED) return;
      const { topics } = replay;
      replay.events.push(...events.filter((event) => isIn(topicsOf(event), topics)));
      replay.updates = lastOfEach([...replay.updates, ...updates.filter((update) => isIn(topicsOfDevice(update.device_id), topics))]);
    },
    close: () => {
      closed = true;
      replay = undefined;
    },
  };
}

function isIn(candidates: readonly Topic[], topics: readonly Topic[]): boolean {
  return candidates.some((topic) => topics.includes(topic));
}

function lastOfEach(updates: readonly DeviceUpdate[]): DeviceUpdate[] {
  return [...new Map(updates.map((update) => [update.device_id, update])).values()];
}

function tooManyTopics(count: number): SubscribeAnswer {
  return {
    ok: false,
    code: 'too_many_topics',
    detail: `Cannot subscribe: the connection would hold ${count} topics, must be <= ${MAX_TOPICS}`,
  };
}

function tooOld(after: number, first: number, last: number): SubscribeAnswer {
  const detail = `Cannot replay the events after ${after}: kept are ${first} to ${last}, and at most ${MAX_REPLAYED} are replayed; load the present state and subscribe without "after"`;
  return { ok: false, code: 'cursor_too_old', detail, first, last };
}
