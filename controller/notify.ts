import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../src/errors.ts';
import { EVENTS_CHANNEL } from '../src/event/store.ts';
import { newId } from '../src/ids.ts';
import { type Claim, claimDue, dropClaims, yieldClaim } from '../src/notification/claim.ts';
import { wakeWanting } from '../src/notification/wake.ts';
import type { Controller } from './context.ts';
import { reconcileNotification } from './reconcile/notification.ts';
import type { Chore } from './sweep/sweep.ts';

/** Events come in bursts: the log is looked at once for all of this time, however many there are. */
const SETTLE_MS = 200;
/** Before another look, after one that failed. */
const RETRY_MS = 1_000;
/** Notifications worked at in this process at once: most of the time they wait for their receivers. */
const MAX_AT_ONCE = 200;
/** What is being sent when the process stops may end within this; what is cut off is sent again, under the same id. */
const STOP_GRACE_MS = 3_000;

export type Notifying = { chores: readonly Chore[]; stop(): Promise<void> };

/**
 * Sends what notifications want. That something happened arrives by NOTIFY, which costs the transactions that tell it nothing more; what a broken
 * connection lost is found by the resync. Each notification is one task of its own, so that a receiver that is slow or dead holds up no other.
 */
export async function startNotifying(controller: Controller): Promise<Notifying> {
  const { store, config, listenSql, log } = controller;
  // Nobody else works on an embedded database: what is claimed was claimed by a process that died.
  if (config.DATABASE_URL === undefined) await dropClaims(store.sql);
  const stopping = new AbortController();
  const cutting = new AbortController();
  const running = new Set<Promise<void>>();
  const run = async (claim: Claim) => {
    try {
      await reconcileNotification(controller, claim, { stop: stopping.signal, cut: cutting.signal });
      // What was committed while it ended its claim had seen it at work.
      looks.want(claim.organizationId);
    } catch (error) {
      if (stopping.signal.aborted) return yieldClaim(store.sql, claim);
      // The claim runs out and is taken up anew.
      log.error({ notificationId: claim.id, err: error }, `cannot work at a notification: ${messageOf(error)}`);
    }
  };
  const startDue = async () => {
    if (stopping.signal.aborted) return;
    for (const claim of await claimDue(store.sql, newId(), MAX_AT_ONCE - running.size)) {
      const task: Promise<void> = run(claim).finally(() => running.delete(task));
      running.add(task);
    }
  };
  const looks = createLooks(controller, stopping.signal, async (organizationIds) => {
    await wakeWanting(store.sql, organizationIds);
    // Those too that a change of their settings made due, which is told as an event.
    await startDue();
  });
  const wantAll = () => looks.want('all');
  const listener = await listenSql.listen(EVENTS_CHANNEL, (organizationId) => looks.want(organizationId), wantAll);
  return {
    chores: [
      { name: 'notify', everySeconds: 1, run: startDue },
      { name: 'notify-resync', everySeconds: 60, run: async () => wantAll() },
    ],
    stop: async () => {
      stopping.abort();
      await listener.unlisten().catch(() => undefined);
      const cut = setTimeout(() => cutting.abort(), STOP_GRACE_MS);
      await Promise.all([looks.ended(), ...running]);
      clearTimeout(cut);
    },
  };
}

type Looks = {
  want(organizationId: string): void;
  /** Resolves when no look is under way any more. */
  ended(): Promise<void>;
};

/** Runs `look` for all that was wanted since the last time, one after the other, until the signal. */
function createLooks({ log }: Controller, signal: AbortSignal, look: (organizationIds: readonly string[] | 'all') => Promise<void>): Looks {
  let wanted = new Set<string>();
  let looking: Promise<void> | undefined;
  const run = async () => {
    let settleMs = SETTLE_MS;
    while (wanted.size > 0 && !signal.aborted) {
      await pause(settleMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) break;
      const now = wanted;
      wanted = new Set();
      settleMs = SETTLE_MS;
      await look(now.has('all') ? 'all' : [...now]).catch((error: unknown) => {
        log.warn({ err: error }, `cannot look for notifications; trying again: ${messageOf(error)}`);
        for (const id of now) wanted.add(id);
        settleMs = RETRY_MS;
      });
    }
    looking = undefined;
  };
  return {
    want: (organizationId) => {
      wanted.add(organizationId);
      looking ??= run();
    },
    ended: async () => {
      await looking;
    },
  };
}
