import { backoff } from '../async/backoff.ts';
import { pause } from '../async/pause.ts';
import { createRerun, type Rerun } from '../async/rerun.ts';
import type { Sql } from '../db/connect.ts';
import type { Notifier } from '../db/notifier.ts';
import type { Event } from '../event/event.ts';
import { EVENTS_CHANNEL, eventBounds, eventsAfter } from '../event/store.ts';
import type { Log } from '../log.ts';
import type { DeviceUpdate } from '../wire/live.ts';
import { shownDevices } from './store.ts';
import { deviceUpdates } from './updates.ts';

/** Events of one organization, in the order of their cursors, with the last update of each device that they changed. */
export type FeedBatch = { organizationId: string; events: Event[]; updates: DeviceUpdate[] };

/**
 * Delivers the events of the organizations that have subscribers in this process, each once and in order. A notification only triggers a read. Every
 * organization is also read every few seconds, and after a broken connection.
 */
export type LiveFeed = {
  /** Reads the organization's events from now on. Resolves when the present cursor is known. Each `follow` needs one `unfollow`. */
  follow(organizationId: string): Promise<void>;
  unfollow(organizationId: string): void;
  /** Cursor of the last delivered event. Valid after `follow` has resolved. */
  position(organizationId: string): number;
  /** Resolves when every event that was committed before the call is delivered. */
  catchUp(organizationId: string): Promise<void>;
  close(): Promise<void>;
};

export type FeedOptions = {
  sql: Sql;
  notifier: Notifier;
  log: Log;
  /** The position has moved before the call. Must not wait: a subscriber that joins in between would miss events. */
  deliver(batch: FeedBatch): void;
};

type Followed = { followers: number; cursor: number | undefined; reading: Rerun };

const BATCH = 500;
const RESYNC_MS = 5_000;
const RETRY_MS = { base: 100, cap: 5_000 };

export async function openLiveFeed(options: FeedOptions): Promise<LiveFeed> {
  const followed = new Map<string, Followed>();
  const closing = new AbortController();
  const wake = (organizationId: string): Promise<void> => followed.get(organizationId)?.reading.ask() ?? Promise.resolve();
  const start = (organizationId: string): Followed => {
    const isOver = () => followed.get(organizationId) !== state || closing.signal.aborted;
    const reading = createRerun(() => readUntilDone(options, organizationId, state, isOver, closing.signal), isOver);
    const state: Followed = { followers: 0, cursor: undefined, reading };
    followed.set(organizationId, state);
    return state;
  };
  const wakeAll = () => {
    for (const id of followed.keys()) void wake(id);
  };
  const unsubscribe = await options.notifier.subscribe(EVENTS_CHANNEL, {
    onNotify: (organizationId) => void wake(organizationId),
    onMissed: wakeAll,
  });
  const resync = setInterval(wakeAll, RESYNC_MS);
  return {
    follow: async (organizationId) => {
      const state = followed.get(organizationId) ?? start(organizationId);
      state.followers += 1;
      if (state.cursor === undefined) await wake(organizationId);
    },
    unfollow: (organizationId) => {
      const state = followed.get(organizationId);
      if (state === undefined) return;
      state.followers -= 1;
      if (state.followers === 0) followed.delete(organizationId);
    },
    position: (organizationId) => followed.get(organizationId)?.cursor ?? 0,
    catchUp: wake,
    close: async () => {
      clearInterval(resync);
      closing.abort();
      unsubscribe();
      await Promise.all([...followed.values()].map((state) => state.reading.idle()));
    },
  };
}

/** Retries after errors of the database, until all events are read or nobody follows any more. */
async function readUntilDone(
  options: FeedOptions,
  organizationId: string,
  state: Followed,
  isOver: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 1; !isOver(); failures += 1) {
    try {
      return await readNew(options, organizationId, state, isOver);
    } catch (error) {
      options.log.warn({ err: error, organizationId, failures }, 'failed to read events for live subscribers; the next try follows');
      await pause(backoff(RETRY_MS, failures), signal);
    }
  }
}

async function readNew(options: FeedOptions, organizationId: string, state: Followed, isOver: () => boolean): Promise<void> {
  state.cursor ??= (await eventBounds(options.sql, organizationId)).last;
  for (;;) {
    const events = await eventsAfter(options.sql, organizationId, { after: state.cursor, limit: BATCH });
    const updates = await deviceUpdates(events, (ids) => shownDevices(options.sql, organizationId, ids));
    const last = events.at(-1);
    if (last === undefined || isOver()) return;
    state.cursor = last.cursor;
    options.deliver({ organizationId, events, updates });
    if (events.length < BATCH) return;
  }
}
