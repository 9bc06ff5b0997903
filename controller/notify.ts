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

/** Events arrive in bursts: all events within this time cause one check. */
const COALESCE_MS = 200;
/** Pause after a failed check. */
const RETRY_MS = 1_000;
/** The longest pause after errors of this service. */
const MAX_PAUSE_SECONDS = 300;
/** Notifications in progress in this process. Most of the time they wait for their receivers. */
const MAX_AT_ONCE = 200;
/** Time for deliveries in progress when the process stops. Later ones are aborted and sent again under the same id. */
const STOP_GRACE_MS = 3_000;

export type Notifying = Closable & { chores: readonly Chore[] };

/**
 * Delivers events to the receivers of notifications. NOTIFY announces events at no further cost for their transactions. The resync finds events whose NOTIFY
 * was lost with the connection. Each notification is a task of its own, so that a slow receiver delays no other.
 */
export async function startNotifying(controller: Controller): Promise<Notifying> {
  const { store, config, notifier, log } = controller;
  // Only this process uses an embedded database: existing claims are those of a process that died.
  if (config.DATABASE_URL === undefined) await dropClaims(store.sql);
  const stopping = new AbortController();
  const cutting = new AbortController();
  const running = new Set<Promise<void>>();
  const run = async (claim: Claim) => {
    try {
      await reconcileNotification(controller, claim, { stop: stopping.signal, cut: cutting.signal });
      // Events that were committed while the claim ended did not wake the notification, which was still in progress.
      checks.request(claim.organizationId);
    } catch (error) {
      if (stopping.signal.aborted) return yieldClaim(store.sql, claim);
      log.error(
        { notificationId: claim.id, err: error },
        `failed to process a notification; it is retried after a pause: ${messageOf(error)}`,
      );
      // If recording fails, too, the claim expires and another run takes it.
      await noteUnexpected(controller, claim, error).catch((cause: unknown) => {
        log.warn({ notificationId: claim.id, err: cause }, 'failed to record a failed notification; its claim expires and it is retried');
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
  const checks = createDueChecks(controller, stopping.signal, async (organizationIds) => {
    await wakeWanting(store.sql, organizationIds);
    // Also starts notifications that a change of their settings made due: that change is an event.
    await startDue();
  });
  const requestAll = () => checks.request('all');
  const unsubscribe = await notifier.subscribe(EVENTS_CHANNEL, { onNotify: checks.request, onMissed: requestAll });
  return {
    chores: [
      { name: 'notify', everySeconds: 1, run: startDue },
      { name: 'notify-resync', everySeconds: 60, run: async () => requestAll() },
    ],
    close: closeOnce(async () => {
      stopping.abort();
      unsubscribe();
      const cut = setTimeout(() => cutting.abort(), STOP_GRACE_MS);
      await Promise.all([checks.idle(), ...running]);
      clearTimeout(cut);
    }),
  };
}

/** Records an error of this service like one of the receiver: it counts, and the third in a row emits an event. */
async function noteUnexpected({ store, metrics }: Controller, claim: Claim, error: unknown): Promise<void> {
  metrics.jobFailed('notification');
  if (isDatabaseOutage(error)) return;
  const lastError = `unexpected error of this service: ${foreignText(messageOf(error))}`;
  await transact(store, async ({ tx, emit }) => {
    const notification = await lockNotification(tx, claim.organizationId, claim.id);
    if (notification === undefined) return;
    const failures = notification.failures + 1;
    const inSeconds = Math.min(MAX_PAUSE_SECONDS, backoffSeconds(failures, Math.random()));
    if (!(await noteFailure(tx, claim, lastError, inSeconds))) return;
    if (failures === FAILURES_TO_REPORT) emit(eventOf(notification, 'notification.failing', { failures, lastError }));
  });
}

type DueChecks = {
  request(organizationId: string): void;
  /** Resolves when no check is under way. */
  idle(): Promise<void>;
};

/** Runs `check` for all organizations requested since the last run, one run at a time, until the signal. */
function createDueChecks(
  { log }: Controller,
  signal: AbortSignal,
  check: (organizationIds: readonly string[] | 'all') => Promise<void>,
): DueChecks {
  let wanted = new Set<string>();
  let delayMs = COALESCE_MS;
  const running = createRerun(
    async () => {
      await pause(delayMs, signal);
      const now = wanted;
      if (signal.aborted || now.size === 0) return;
      wanted = new Set();
      delayMs = COALESCE_MS;
      await check(now.has('all') ? 'all' : [...now]).catch((error: unknown) => {
        log.warn({ err: error }, `failed to check for due notifications; the next check follows after a pause: ${messageOf(error)}`);
        delayMs = RETRY_MS;
        for (const id of now) request(id);
      });
    },
    () => signal.aborted,
  );
  const request = (organizationId: string) => {
    wanted.add(organizationId);
    void running.ask();
  };
  return { request, idle: running.idle };
}
