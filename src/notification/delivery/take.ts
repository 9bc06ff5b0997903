import type { Sql } from '../../db/connect.ts';
import { lockNotification } from '../store.ts';
import { excessAfter, spanAfter, wantedEvents } from '../wanted-store.ts';
import { type Claim, moveCursor, releaseClaim, renewClaim } from './claim-store.ts';
import { insertDeliveries } from './deliveries-store.ts';

/** Deliveries created at once. The rest of a backlog stays in the event log and needs no further space. */
const BATCH = 100;

/** `dropped`: wanted events that were too old or too many to become deliveries. */
export type Taken = { outcome: 'taken' | 'idle' | 'lost'; dropped: number };

/**
 * Creates deliveries of the next wanted events after the cursor and moves the cursor, in one transaction, so that a crash loses none and repeats none.
 * `idle`: there were no more events, and the claim has ended. The next call of `wakeWanting` finds an event that was committed at that moment.
 * `lost`: another worker has the claim.
 */
export async function takeEvents(sql: Sql, claim: Claim): Promise<Taken> {
  return sql.begin(async (tx): Promise<Taken> => {
    // The lock must precede the reads, so that they see every filter that was set before.
    await lockNotification(tx, claim.organizationId, claim.id);
    const notification = await renewClaim(tx, claim);
    if (notification === undefined) return { outcome: 'lost', dropped: 0 };
    const { organizationId, cursor } = notification;
    const span = await spanAfter(tx, organizationId, cursor);
    if (span === undefined) {
      await releaseClaim(tx, claim);
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
