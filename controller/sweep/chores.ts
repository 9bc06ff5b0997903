import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { prunePushes } from '../../src/adapter/pushes-store.ts';
import { expireCommands } from '../../src/command/store.ts';
import type { Sql } from '../../src/db/connect.ts';
import { afterFailure } from '../../src/deployment/deployment.ts';
import {
  type Deployment,
  deferAway,
  isRevert,
  moveDeployments,
  overdueDeployments,
  type Retry,
  retryableDeployments,
  takeRetries,
} from '../../src/deployment/store.ts';
import { OFFLINE_AFTER_SECONDS } from '../../src/device/device.ts';
import { emitStanding } from '../../src/device/events.ts';
import { endClones } from '../../src/device/instances-store.ts';
import { pruneLogLines } from '../../src/device/store/logs.ts';
import { correctDiverged, rollBackToGood } from '../../src/device/store/status.ts';
import { namedWorkspaces } from '../../src/device/store/workspaces.ts';
import { lockDevices, markSilentDevicesOffline } from '../../src/device/store.ts';
import { expecting } from '../../src/errors.ts';
import { pruneEvents } from '../../src/event/store.ts';
import { transact } from '../../src/event/transact.ts';
import { pruneIdempotencyKeys } from '../../src/http/idempotency-store.ts';
import { forgetHooks } from '../../src/integration/hooks.ts';
import { pruneDeliveries } from '../../src/notification/delivery/deliveries-store.ts';
import { organizationIds } from '../../src/organization/store.ts';
import { pruneMergeRequests } from '../../src/plan/store.ts';
import { deploy } from '../../src/rollout/converge.ts';
import { openRolloutIds, takeDueRollouts } from '../../src/rollout/store/store.ts';
import { rolloutsAwaiting, rolloutsWithRoomFor } from '../../src/rollout/store/targets.ts';
import { pruneSessions } from '../../src/session/store.ts';
import { pruneHookDeliveries } from '../../src/source/deliveries-store.ts';
import { sourceIds } from '../../src/source/store.ts';
import { pruneTelemetry } from '../../src/telemetry/store.ts';
import type { Controller } from '../context.ts';
import type { Chore } from './sweep.ts';

/** Attempts per run and transaction. */
const BATCH = 500;
const KEEP_DAYS = 30;
/** Deliveries kept per source regardless of age: they show what the host sent when its webhook last worked. */
const HOOK_DELIVERIES_KEPT = 100;
/** A workspace without a device is deleted after this time: its creation was interrupted, or the device was deleted. */
const ABANDONED_AFTER_MS = 86_400_000;

/** Wakes every rollout under way, so that a lost wake-up delays it by a minute at most. */
export const resync: Chore = {
  name: 'resync',
  everySeconds: 60,
  run: async ({ store }) => {
    const rollouts = await openRolloutIds(store.sql);
    const organizations = await organizationIds(store.sql);
    await transact(store, async ({ enqueue }) => {
      for (const id of rollouts) enqueue('rollout', id);
      for (const id of organizations) {
        enqueue('workspace', id);
        enqueue('deployment', id);
      }
    });
  },
};

/** Checks all devices for a missing mark of divergence, after concurrent transactions or manual changes (`0011_astray.sql`), and wakes their rollouts. */
export const findDiverged: Chore = {
  name: 'find-diverged',
  everySeconds: 3_600,
  run: ({ store }) =>
    transact(store, async ({ tx, enqueue }) => {
      for (const [organizationId, devices] of byOrganization(await correctDiverged(tx))) {
        const ids = devices.map((device) => device.id);
        for (const id of await rolloutsWithRoomFor(tx, organizationId, ids)) enqueue('rollout', id);
      }
    }),
};

/** Wakes rollouts whose waiting time is over: the end of a bake, a window, a minute of the rate. */
export const dueRollouts: Chore = {
  name: 'due-rollouts',
  everySeconds: 1,
  run: ({ store }) =>
    transact(store, async ({ tx, enqueue }) => {
      for (const id of await takeDueRollouts(tx)) enqueue('rollout', id);
    }),
};

export const offline: Chore = {
  name: 'offline',
  everySeconds: 5,
  run: ({ store }) =>
    transact(store, async ({ tx, emit, enqueue }) => {
      const silent = await markSilentDevicesOffline(tx, OFFLINE_AFTER_SECONDS);
      for (const [organizationId, devices] of byOrganization(silent)) {
        const ids = devices.map((device) => device.id);
        // Rollouts must stop waiting for offline devices.
        for (const id of await rolloutsAwaiting(tx, organizationId, ids)) enqueue('rollout', id);
      }
      for (const device of silent)
        emitStanding({ emit }, 'device.status', device, { lastSeenAt: device.lastSeenAt?.toISOString() ?? null });
    }),
};

/** Ends the reports of cloned keys that only one agent uses again. */
export const forgetClones: Chore = {
  name: 'forget-clones',
  everySeconds: 60,
  run: ({ store }) =>
    transact(store, async ({ tx, emit }) => {
      for (const { organizationId, id } of await endClones(tx))
        emit({ organizationId, type: 'device.clone_ended', subject: `device:${id}`, data: {} });
    }),
};

export const expire: Chore = {
  name: 'expire-commands',
  everySeconds: 5,
  run: ({ store }) =>
    transact(store, async ({ tx, emit }) => {
      for (const command of await expireCommands(tx)) {
        const { organizationId, id, deviceId, type } = command;
        emit({ organizationId, type: 'command.state', subject: `device:${deviceId}`, data: { commandId: id, type, state: 'expired' } });
      }
    }),
};

/** Times out attempts whose device stopped reporting during a step. A late report still replaces the outcome. */
export const timeOut: Chore = {
  name: 'time-out-deployments',
  everySeconds: 5,
  run: async (controller) => {
    await deferAway(controller.store.sql);
    for (const [organizationId, overdue] of byOrganization(await overdueDeployments(controller.store.sql, BATCH))) {
      await endOverdue(controller, organizationId, overdue);
    }
  },
};

async function endOverdue({ store, metrics }: Controller, organizationId: string, overdue: readonly Deployment[]): Promise<void> {
  await transact(store, async ({ tx, emit, enqueue, wakeDevices }) => {
    await lockDevices(
      tx,
      organizationId,
      overdue.map((deployment) => deployment.deviceId),
    );
    const moves = overdue.map((deployment) => {
      const next = afterFailure('timed_out', deployment.attempt, Math.random(), deployment.maxAttempts);
      const detail = `no report while ${deployment.state}`;
      return {
        id: deployment.id,
        deviceId: deployment.deviceId,
        to: 'timed_out' as const,
        deadlineSeconds: null,
        errorCode: 'timed_out',
        errorDetail: detail,
        retryInSeconds: next.do === 'retry' ? next.inSeconds : null,
      };
    });
    const moved = await moveDeployments(tx, organizationId, moves);
    const ended = overdue.filter((deployment) => moved.has(deployment.id));
    const returned = await rollBackToGood(
      tx,
      organizationId,
      ended.map((attempt) => {
        const { deviceId, bundle, state } = attempt;
        return { deviceId, bundle, code: 'timed_out', detail: `no report while ${state}`, isRevert: isRevert(attempt) };
      }),
    );
    wakeDevices(
      organizationId,
      ended.map((deployment) => deployment.deviceId),
    );
    for (const { id, deviceId, rolloutId, wave, bundle } of ended) {
      metrics.deploymentEnded('timed_out');
      emit({
        organizationId,
        type: 'deployment.state',
        subject: `device:${deviceId}`,
        data: { deploymentId: id, rolloutId, wave, state: 'timed_out', bundle },
      });
      if (rolloutId !== null) enqueue('rollout', rolloutId);
    }
    for (const device of returned) emitStanding({ emit }, 'device.status', device);
  });
}

/** Opens the next attempt of due retries, unless the folder changed, the device is held, or another attempt is under way. */
export const retry: Chore = {
  name: 'retry-deployments',
  everySeconds: 1,
  run: async (controller) => {
    for (const [organizationId, due] of byOrganization(await retryableDeployments(controller.store.sql, BATCH))) {
      await retryDue(controller, organizationId, due);
    }
  },
};

async function retryDue({ store }: Controller, organizationId: string, due: readonly Deployment[]): Promise<void> {
  await transact(store, async (unit) => {
    await lockDevices(
      unit.tx,
      organizationId,
      due.map((deployment) => deployment.deviceId),
    );
    const retries = await takeRetries(
      unit.tx,
      organizationId,
      due.map((deployment) => deployment.id),
    );
    // A bad commit fails on a whole wave at once: devices with equal retries share one set of statements.
    for (const group of Map.groupBy(retries, likeAttempt).values()) {
      const [first] = group;
      if (first === undefined) continue;
      const { rolloutId, wave, limits } = first;
      const kind = first.kind === 'rollback' ? 'rollback' : 'retry';
      await deploy(unit, organizationId, group, { kind, attempt: first.attempt + 1, force: kind === 'rollback', rolloutId, wave, limits });
    }
  });
}

/** A key that is equal for retries that differ only in device and bundle. */
function likeAttempt({ kind, attempt, rolloutId, wave, limits }: Retry): string {
  return JSON.stringify([kind === 'rollback', attempt, rolloutId, wave, limits]);
}

/** Deletes records that only describe the past after `KEEP_DAYS`. Bundles and their files are kept while any record refers to them. */
export const prune: Chore = {
  name: 'prune',
  everySeconds: 3_600,
  run: async ({ store: { sql }, workspaces, config }) => {
    await workspaces.prune({ keep: await namedWorkspaces(sql), untouchedSince: new Date(Date.now() - ABANDONED_AFTER_MS) });
    await pruneMirrors(sql, join(config.DATA_DIR, 'mirrors'));
    await pruneEvents(sql, KEEP_DAYS);
    await pruneHookDeliveries(sql, KEEP_DAYS, HOOK_DELIVERIES_KEPT);
    await pruneDeliveries(sql, KEEP_DAYS);
    await forgetHooks(sql);
    await pruneMergeRequests(sql, KEEP_DAYS);
    await pruneTelemetry(sql, KEEP_DAYS);
    await prunePushes(sql, KEEP_DAYS);
    await pruneLogLines(sql);
    await pruneIdempotencyKeys(sql);
    await pruneSessions(sql);
  },
};

/** Deletes mirrors of deleted sources. A source has a mirror of its own, and further ones named `<id>.preview` and so on. */
async function pruneMirrors(sql: Sql, root: string): Promise<void> {
  const names = await readdir(root).catch(expecting([], 'ENOENT'));
  const sources = new Set(await sourceIds(sql));
  for (const name of names)
    if (!sources.has(name.replace(/\.(?:preview|plan|merge)$/, ''))) await rm(join(root, name), { recursive: true, force: true });
}

function byOrganization<Row extends { organizationId: string }>(rows: readonly Row[]): Map<string, Row[]> {
  return Map.groupBy(rows, (row) => row.organizationId);
}
