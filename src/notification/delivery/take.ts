import type { Sql } from '../../db/connect.ts';
import { lockNotification } from '../store.ts';
import { excessAfter, spanAfter, wantedEvents } from '../wanted-store.ts';
import { type Claim, moveCursor, renewClaim, rest } from './claim-store.ts';
import { insertDeliveries } from './deliveries-store.ts';

/** Deliveries that are made at once: the rest of a backlog stays in the log, where it takes no room. */
const BATCH = 100;

/** `dropped`: wanted events that were too old or too many to become deliveries. */
export type Taken = { outcome: 'taken' | 'idle' | 'lost'; dropped: number };

/**
 * Makes deliveries of the next wanted events behind the cursor and moves it past them, in one transaction: a crash before it changes nothing, one after
 * it finds them. `idle`: there was nothing more, and the claim has ended; an event that was committed in the same moment is seen by whoever looks after it.
 * `lost`: the claim is another's.
 */
export async function takeEvents(sql: Sql, claim: Claim): Promise<Taken> {
  return sql.begin(async (tx): Promise<Taken> => {
    // The lock comes first: what is read behind it is newer than any filter that was set before.
    await lockNotification(tx, claim.organizationId, claim.id);
    const notification = await renewClaim(tx, claim);
    if (notification === undefined) return { outcome: 'lost', dropped: 0 };
    const { organizationId, cursor } = notification;
    const span = await spanAfter(tx, organizationId, cursor);
    if (span === undefined) {
      await rest(tx, claim);
      return { outcome: 'idle', dropped: 0 };
    }
    const excess = span.full ? await excessAfter(tx, organizationId, cursor, notification) : undefined;
    if (excess !== undefined) {
      await moveCursor(tx, claim, excess.upTo, excess.count);
      return { outcome: 'taken', dropped: excess.count };
    }
    const events = await wantedEvents(tx, span, notification, BATCH);
    const late = events.filter((event) => event.late).length;
    await insertDeliveries(
      tx,
      notification,
      events.filter((event) => !event.late),
    );
    await moveCursor(tx, claim, events.length === BATCH ? (events.at(-1)?.cursor ?? span.upTo) : span.upTo, late);
    return { outcome: 'taken', dropped: late };
  }) as Promise<Taken>;
}
