import { type Closable, closeOnce } from '../src/async/lifecycle.ts';
import { pause } from '../src/async/pause.ts';
import { createRerun } from '../src/async/rerun.ts';
import { isDatabaseOutage } from '../src/db/away.ts';
import { messageOf } from '../src/errors.ts';
import { EVENTS_CHANNEL } from '../src/event/store.ts';
import { transact } from '../src/event/transact.ts';
import { foreignText } from '../src/git/problems.ts';
import { newId } from '../src/ids.ts';
import { type Claim, claimDue, dropClaims, noteFailure, yieldClaim } from '../src/notification/delivery/claim-store.ts';
import { eventOf, FAILURES_TO_REPORT } from '../src/notification/notification.ts';
import { lockNotification } from '../src/notification/store.ts';
import { wakeWanting } from '../src/notification/wake.ts';
import { backoffSeconds } from '../src/source/source.ts';
import type { Controller } from './context.ts';
import { reconcileNotification } from './reconcile/notification.ts';
import type { Chore } from './sweep/sweep.ts';

/** Events come in bursts: the log is looked at once for all of this time, however many there are. */
const SETTLE_MS = 200;
/** Before another look, after one that failed. */
const RETRY_MS = 1_000;
/** The longest pause after errors of this service. */
const MAX_REST_SECONDS = 300;
/** Notifications worked at in this process at once: most of the time they wait for their receivers. */
const MAX_AT_ONCE = 200;
/** What is being sent when the process stops may end within this; what is cut off is sent again, under the same id. */
const STOP_GRACE_MS = 3_000;

export type Notifying = Closable & { chores: readonly Chore[] };

/**
 * Sends what notifications want. That something happened arrives by NOTIFY, which costs the transactions that tell it nothing more; what a broken
 * connection lost is found by the resync. Each notification is one task of its own, so that a receiver that is slow or dead holds up no other.
 */
export async function startNotifying(controller: Controller): Promise<Notifying> {
  const { store, config, notifier, log } = controller;
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
      log.error({ notificationId: claim.id, err: error }, `failed to work on a notification; it is tried again: ${messageOf(error)}`);
      // Where this fails too, the claim runs out and is taken up anew.
      await noteUnexpected(controller, claim, error).catch((cause: unknown) => {
        log.warn({ notificationId: claim.id, err: cause }, 'failed to record that a notification failed');
      });
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
  const unsubscribe = await notifier.subscribe(EVENTS_CHANNEL, { onNotify: looks.want, onMissed: wantAll });
  return {
    chores: [
      { name: 'notify', everySeconds: 1, run: startDue },
      { name: 'notify-resync', everySeconds: 60, run: async () => wantAll() },
    ],
    close: closeOnce(async () => {
      stopping.abort();
      unsubscribe();
      const cut = setTimeout(() => cutting.abort(), STOP_GRACE_MS);
      await Promise.all([looks.ended(), ...running]);
      clearTimeout(cut);
    }),
  };
}

/** An error of this service is shown like one of the receiver: it counts, and the third in a row is announced. */
async function noteUnexpected({ store, metrics }: Controller, claim: Claim, error: unknown): Promise<void> {
  metrics.jobFailed('notification');
  if (isDatabaseOutage(error)) return;
  const lastError = `unexpected error of this service: ${foreignText(messageOf(error))}`;
  await transact(store, async ({ tx, emit }) => {
    const notification = await lockNotification(tx, claim.organizationId, claim.id);
    if (notification === undefined) return;
    const failures = notification.failures + 1;
    const inSeconds = Math.min(MAX_REST_SECONDS, backoffSeconds(failures, Math.random()));
    if (!(await noteFailure(tx, claim, lastError, inSeconds))) return;
    if (failures === FAILURES_TO_REPORT) emit(eventOf(notification, 'notification.failing', { failures, lastError }));
  });
}

type Looks = {
  want(organizationId: string): void;
  /** Resolves when no look is under way any more. */
  ended(): Promise<void>;
};

/** Runs `look` for all that was wanted since the last time, one after the other, until the signal. */
function createLooks({ log }: Controller, signal: AbortSignal, look: (organizationIds: readonly string[] | 'all') => Promise<void>): Looks {
  let wanted = new Set<string>();
  let settleMs = SETTLE_MS;
  const looking = createRerun(
    async () => {
      await pause(settleMs, signal);
      const now = wanted;
      if (signal.aborted || now.size === 0) return;
      wanted = new Set();
      settleMs = SETTLE_MS;
      await look(now.has('all') ? 'all' : [...now]).catch((error: unknown) => {
        log.warn({ err: error }, `failed to look for due notifications; the next try follows: ${messageOf(error)}`);
        settleMs = RETRY_MS;
        for (const id of now) want(id);
      });
    },
    () => signal.aborted,
  );
  const want = (organizationId: string) => {
    wanted.add(organizationId);
    void looking.ask();
  };
  return { want, ended: looking.idle };
}
