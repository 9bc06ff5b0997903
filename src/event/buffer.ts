import { createRerun } from '../async/rerun.ts';
import { isDatabaseAway } from '../db/away.ts';
import type { Sql } from '../db/connect.ts';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { NewEvent } from './event.ts';
import { appendEvents } from './store.ts';

/**
 * Emits events about rows that are already committed, so that the caller does not wait for the lock that orders events. Events of one moment
 * share a transaction. A crash loses such events, never the rows.
 */
export type EventBuffer = { emit(event: NewEvent): void; close(): Promise<void> };

export function createEventBuffer(sql: Sql, log: Log): EventBuffer {
  let waiting: NewEvent[] = [];
  const writing = createRerun(async () => {
    const batch = waiting;
    waiting = [];
    await writeOrSplit(sql, batch, log);
  });
  return {
    emit: (event) => {
      waiting.push(event);
      void writing.ask();
    },
    close: () => writing.idle(),
  };
}

/** Writes a failed batch event by event, so that one event that cannot be written does not lose the others. */
async function writeOrSplit(sql: Sql, batch: readonly NewEvent[], log: Log): Promise<void> {
  try {
    await sql.begin((tx) => appendEvents(tx, batch));
  } catch (error) {
    if (batch.length > 1 && !isDatabaseAway(error)) {
      for (const event of batch) await writeOrSplit(sql, [event], log);
      return;
    }
    const [{ organizationId, type, subject } = { organizationId: '', type: '', subject: '' }] = batch;
    log.error(
      { err: error, events: batch.length, organizationId, type, subject },
      `failed to write events; they are lost: ${messageOf(error)}`,
    );
  }
}
