import { unreachable } from '../../src/async/unreachable.ts';
import { audit } from '../../src/audit/store.ts';
import type { NewEvent } from '../../src/event/event.ts';
import { transact, type Unit } from '../../src/event/transact.ts';
import { attempt } from '../../src/notification/delivery/attempt.ts';
import { type Claim, noteDisabled, noteFailure, noteTaken, renewClaim, yieldClaim } from '../../src/notification/delivery/claim-store.ts';
import { giveUpPending, type PendingDelivery, pendingDeliveries, recordFailure } from '../../src/notification/delivery/deliveries-store.ts';
import { judge, type Verdict } from '../../src/notification/delivery/judge.ts';
import type { Sent } from '../../src/notification/delivery/send.ts';
import { takeEvents } from '../../src/notification/delivery/take.ts';
import { eventOf, FAILURES_TO_REPORT, type Notification } from '../../src/notification/notification.ts';
import type { Controller } from '../context.ts';

/** Deliveries per read. */
const BATCH = 100;

/** `stop`: no further delivery begins; `cut`: the delivery in progress is aborted. */
type Signals = { stop: AbortSignal; cut: AbortSignal };

/**
 * Posts the deliveries of a claimed notification in the order of the events, until none is left or the receiver refuses one. Then the claim ends. A delivery
 * is stored before its first post, so that it is sent again under the same id after a crash.
 */
export async function reconcileNotification(controller: Controller, claim: Claim, signals: Signals): Promise<void> {
  const { sql } = controller.store;
  for (;;) {
    const pending = await pendingDeliveries(sql, claim, BATCH);
    if (pending.length === 0) {
      const { outcome, dropped } = await takeEvents(sql, claim);
      if (dropped > 0) controller.log.warn({ notificationId: claim.id, dropped }, 'events dropped for a notification: too old or too many');
      if (outcome !== 'taken') return;
      continue;
    }
    // Settings may change at any time: each delivery uses the ones that were read last.
    let notification = await renewClaim(sql, claim);
    for (const delivery of pending) {
      signals.stop.throwIfAborted();
      if (!notification?.enabled) return yieldClaim(sql, claim);
      notification = await deliver(controller, claim, notification, delivery, signals.cut);
    }
    if (!notification?.enabled) return yieldClaim(sql, claim);
  }
}

/** @returns the current notification; undefined when the claim has ended */
async function deliver(
  controller: Controller,
  claim: Claim,
  notification: Notification,
  delivery: PendingDelivery,
  signal: AbortSignal,
): Promise<Notification | undefined> {
  const { store, box, sender, metrics, log } = controller;
  const post = { sql: store.sql, box, sender, publicUrl: controller.publicUrl() };
  const sent = await attempt(post, notification, delivery.event, delivery.id, signal);
  const verdict = judge(sent, delivery, notification.failures, new Date(), Math.random());
  const { status, error, durationMs } = sent;
  metrics.notification(notification.format, error === null ? 'delivered' : 'failed', durationMs);
  log.debug({ notificationId: claim.id, deliveryId: delivery.id, status, durationMs, verdict: verdict.do, error }, 'notification posted');
  if (verdict.do !== 'finish') {
    await transact(store, (unit) => recordMiss(unit, claim, notification, delivery, sent, verdict));
    return undefined;
  }
  if (notification.failures < FAILURES_TO_REPORT) return noteTaken(store.sql, claim, delivery, sent);
  return transact(store, async ({ tx, emit }) => {
    const { failures } = notification;
    const now = await noteTaken(tx, claim, delivery, sent);
    if (now !== undefined) emit(eventOf(now, 'notification.recovered', { failures }));
    return now;
  });
}

/** Records nothing if another process has taken the claim: that process sends the same id again. */
async function recordMiss(
  unit: Unit,
  claim: Claim,
  notification: Notification,
  delivery: PendingDelivery,
  sent: Sent,
  verdict: Exclude<Verdict, { do: 'finish' }>,
): Promise<void> {
  const { tx } = unit;
  const { organizationId } = notification;
  const lastError = sent.error ?? '';
  switch (verdict.do) {
    case 'retry':
    case 'give_up': {
      const failures = notification.failures + 1;
      if (!(await noteFailure(tx, claim, lastError, verdict.inSeconds))) return;
      await recordFailure(tx, organizationId, delivery, verdict.do === 'retry' ? 'pending' : 'failed', sent);
      if (failures === FAILURES_TO_REPORT) unit.emit(eventOf(notification, 'notification.failing', { failures, lastError }));
      return;
    }
    case 'disable':
      if (!(await noteDisabled(tx, claim, lastError))) return;
      await recordFailure(tx, organizationId, delivery, 'failed', sent);
      await giveUpPending(tx, notification);
      return emitAndAudit(unit, eventOf(notification, 'notification.disabled', { reason: lastError }));
    default:
      return unreachable(verdict);
  }
}

async function emitAndAudit({ tx, emit }: Unit, event: NewEvent): Promise<void> {
  const { organizationId, subject, data } = event;
  emit(event);
  await audit(tx, { organizationId, actor: 'controller', action: 'notification.disable', subject, outcome: 'ok', detail: data });
}
