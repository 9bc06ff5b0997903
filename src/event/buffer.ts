import type { Sql } from '../db/connect.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { NewEvent } from './event.ts';
import { appendEvents } from './store.ts';

/**
 * For facts whose rows are committed already and which are only to be told: their caller does not wait for the lock that orders events. Those of one moment
 * share a transaction. A crash loses the telling, never the fact.
 */
export type EventBuffer = { tell(event: NewEvent): void; close(): Promise<void> };

export function createEventBuffer(sql: Sql, log: Log): EventBuffer {
  let waiting: NewEvent[] = [];
  let writing: Promise<void> | undefined;
  const write = async () => {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      await sql
        .begin((tx) => appendEvents(tx, batch))
        .catch((error: unknown) => log.error({ err: error, events: batch.length }, `events not told: ${messageOf(error)}`));
    }
    writing = undefined;
  };
  return {
    tell: (event) => {
      waiting.push(event);
      writing ??= write();
    },
    close: async () => {
      await writing;
    },
  };
}
