import { randomUUID } from 'node:crypto';
import { pause } from '../async/pause.ts';
import type { Db } from '../db/connect.ts';
import { messageOf, Problem } from '../errors.ts';
import { type Store, transact } from '../event/transact.ts';
import { type Integration, NO_COUNTS } from '../integration/integration.ts';
import { fieldsOf } from '../integration/provider.ts';
import { noteRun } from '../integration/runs/note.ts';
import { type Compared, compareDevices, dueWork, gatherStatistics, hasUnseen } from '../integration/store/assignments.ts';
import { closeUnsynced } from '../integration/store/conflicts.ts';
import { integrationById, nextWalk, takeRequest } from '../integration/store/services.ts';
import {
  beat,
  beginRun,
  endRun,
  noteProgress,
  type Run,
  releaseRun,
  SILENT_RUN_SECONDS,
  takeOverRun,
} from '../integration/store/sync-log.ts';
import { isDeviceSyncEnabled } from '../organization/store.ts';
import { type DeviceVerdict, noteVerdicts } from '../push/verdicts.ts';
import { archiveGone } from './archive.ts';
import { createDue } from './create.ts';
import { exportDue } from './export.ts';
import { rulesOf } from './fields.ts';
import { findVanished } from './link.ts';
import { takePage } from './page.ts';
import { readPages } from './read/pages.ts';
import { type Shown, shownOf } from './read/shown.ts';
import { withTrueTimes } from './read/times.ts';
import { addCounts, type Running, type SyncContext, type SyncDeps } from './record.ts';

const HEARTBEAT_MS = (SILENT_RUN_SECONDS * 1000) / 4;
const CLAIM_RETRY_MS = 1_000;
/** After a walk of this share of the interval ago, waiting devices are written without another walk. */
const RECENT = 0.8;

/** So many new devices change the size of the tables so much that statements need another plan. */
const FIRST_STATISTICS = 2_000;
const STATISTICS_GROWTH = 8;

class TakenOver extends Error {}

/**
 * Syncs one integration: reads all devices of the platform page by page, archives those that are gone, and writes what waits here. It goes on with a run
 * that was cut off. Failures of the platform are recorded, with the time of the next run; the devices that are done stay done.
 */
export async function syncIntegration(deps: SyncDeps, id: string, ending: AbortSignal): Promise<void> {
  const { store } = deps;
  const integration = await integrationById(store.sql, id);
  if (integration === undefined || !integration.isActive || integration.blockedReason !== null) return;
  if (!(await isDeviceSyncEnabled(store.sql, integration.organizationId))) return;
  const owner = randomUUID();
  const run = await claim(store, integration, owner, ending);
  if (run === undefined) return;
  const lost = new AbortController();
  const owned = { organizationId: integration.organizationId, id, owner };
  const heartbeat = startHeartbeat(deps, owned, lost);
  const startedMs = performance.now();
  const ended = (outcome: 'succeeded' | 'failed') => deps.onRun?.(integration.type, outcome, performance.now() - startedMs);
  try {
    await work(deps, integration, owned, run, AbortSignal.any([ending, lost.signal]));
    ended('succeeded');
  } catch (error) {
    if (error instanceof TakenOver || lost.signal.aborted) return;
    if (ending.aborted) return void (await releaseRun(store.sql, owned));
    // Its rows are gone with it, so that the transaction in progress fails.
    if ((await integrationById(store.sql, id)) === undefined) return;
    ended('failed');
    await fail(deps, integration, owned, error);
  } finally {
    clearInterval(heartbeat);
  }
  const after = await integrationById(store.sql, id);
  // Somebody asked for a sync while this one ran.
  if (after !== undefined && after.requestedBy !== null) await transact(store, async ({ enqueue }) => enqueue('integration', id));
}

/** @returns undefined while another process works on a run */
async function claim(store: Store, integration: Integration, owner: string, ending: AbortSignal): Promise<Run | undefined> {
  for (let waitedMs = 0; waitedMs <= (SILENT_RUN_SECONDS + 3) * 1000 && !ending.aborted; waitedMs += CLAIM_RETRY_MS) {
    const taken = await takeOverRun(store.sql, integration, owner);
    if (taken !== undefined) return taken;
    const begun = await begin(store, integration, owner);
    if (begun !== undefined) return begun;
    if ((await integrationById(store.sql, integration.id)) === undefined) return undefined;
    await pause(CLAIM_RETRY_MS, ending);
  }
  return undefined;
}

async function begin(store: Store, integration: Integration, owner: string): Promise<Run | undefined> {
  const { direction, requestedBy, walks } = integration;
  const operation = requestedBy === null && (await needsNoWalk(store, integration)) ? 'export' : 'walk';
  return transact(store, async ({ tx }) => {
    // The number of a walk counts once the walk is complete, so that one that fails makes no device look gone.
    const run = {
      id: randomUUID(),
      operation,
      trigger: requestedBy ?? 'schedule',
      walk: walks + 1,
      counts: NO_COUNTS,
      direction,
      owner,
    } as const;
    const begun = await beginRun(tx, integration, run);
    if (begun !== undefined) await takeRequest(tx, integration);
    return begun;
  });
}

/** Values are written without a walk soon after one. A creation needs a walk before it, which shows whether an earlier one succeeded. */
async function needsNoWalk(store: Store, integration: Integration): Promise<boolean> {
  const { failures, lastRunAt, intervalSeconds } = integration;
  if (failures > 0 || lastRunAt === null || Date.now() - lastRunAt.getTime() > RECENT * intervalSeconds * 1000) return false;
  const { exports, creations } = await dueWork(store.sql, integration);
  return exports && !creations;
}

type Owned = { organizationId: string; id: string; owner: string };

function startHeartbeat({ store, log }: SyncDeps, owned: Owned, lost: AbortController): NodeJS.Timeout {
  return setInterval(() => {
    beat(store.sql, owned).then(
      (isOurs) => {
        if (!isOurs) lost.abort(new TakenOver('another process has taken the sync over'));
      },
      (error: unknown) =>
        log.warn({ integrationId: owned.id, err: error }, 'failed to store the heartbeat of a sync; the next one follows'),
    );
  }, HEARTBEAT_MS);
}

async function work(deps: SyncDeps, integration: Integration, owned: Owned, begun: Run, signal: AbortSignal): Promise<void> {
  const { store, providers } = deps;
  const provider = providers.of(integration.type);
  const platform = withTrueTimes(deps.open(integration));
  const rules = rulesOf(integration, fieldsOf(provider, integration.settings));
  const mayMatch = await hasUnseen(store.sql, integration, begun.walk);
  const context = { integration, provider, rules, walk: begun.walk, runId: begun.id, mayMatch };
  const running: Running = {
    ...{ deps, context, platform, signal, run: begun },
    advance: async (step) => {
      running.run = await transact(store, async (unit) => {
        const { counts, ...moved } = await step(unit);
        const next = { ...running.run, ...moved, counts: addCounts(running.run.counts, counts) };
        if (!(await noteProgress(unit.tx, owned, next))) throw new TakenOver('another process has taken the sync over');
        return next;
      });
    },
  };
  try {
    if (begun.operation === 'walk' && platform.list !== undefined) await walk(running);
    await createDue(running);
    await exportDue(running);
    await succeed(running, owned);
  } finally {
    await platform.close?.();
  }
}

async function walk(running: Running): Promise<void> {
  const { deps, context, platform, signal, run } = running;
  const { list } = platform;
  if (list === undefined) return;
  let gatherAt = FIRST_STATISTICS;
  if (!run.walked) {
    for await (const page of readPages((cursor, one) => list.call(platform, cursor, one), run.cursor, signal)) {
      signal.throwIfAborted();
      const shown = shownOf(page.devices);
      const known = await knownOf(deps.store.sql, context, shown);
      const others = shown.filter(({ device }) => !known.has(device.externalId));
      const isGone = await findVanished(deps.store.sql, context, platform, { others, known }, signal);
      await running.advance(async (unit) => ({
        counts: { ...(await takePage(unit, context, { shown, known, isGone })), pages: page.count },
        cursor: page.next,
        walked: page.next === null,
      }));
      const { created } = running.run.counts;
      if (created >= gatherAt) {
        gatherAt = created * STATISTICS_GROWTH;
        await gatherStatistics(deps.store.sql);
      }
      await noteVerdicts(deps.store, context.integration.organizationId, verdictsOf(shown, known));
    }
  }
  await archiveGone(running);
}

/** Devices that left the configuration which they had taken, or returned to it. */
function verdictsOf(shown: readonly Shown[], known: ReadonlyMap<string, Compared>): DeviceVerdict[] {
  return shown.flatMap(({ device: { externalId, verdict } }) => {
    const deviceId = known.get(externalId)?.deviceId;
    return deviceId === undefined || verdict === undefined ? [] : [{ deviceId, verdict }];
  });
}

async function knownOf(sql: Db, { integration, rules }: SyncContext, shown: readonly Shown[]): Promise<Map<string, Compared>> {
  const now = shown.map(({ device: { externalId, connectivity, lastSeenAt }, hash }) => ({ externalId, hash, connectivity, lastSeenAt }));
  return new Map((await compareDevices(sql, integration, [...rules.keys()], now)).map((device) => [device.externalId, device]));
}

async function succeed({ deps, context, run }: Running, owned: Owned): Promise<void> {
  const { integration } = context;
  await transact(deps.store, async (unit) => {
    const ended = await endRun(unit.tx, owned, { status: 'succeeded', counts: run.counts, code: null, detail: null });
    if (ended === undefined || run.operation === 'export') return;
    const contested = [...context.rules].filter(([, { direction }]) => direction === 'both').map(([field]) => field);
    await closeUnsynced(unit.tx, integration, contested);
    await nextWalk(unit.tx, integration);
    await noteRun(unit, integration, { counts: run.counts });
  });
  deps.log.info({ integration: integration.slug, operation: run.operation, ...run.counts }, 'integration synced');
}

/** @throws the error, where it is none of the platform: the queue counts it as a failure of the job */
async function fail({ store, log }: SyncDeps, integration: Integration, owned: Owned, error: unknown): Promise<void> {
  const code = error instanceof Problem ? error.code : 'internal';
  await transact(store, async (unit) => {
    const ended = await endRun(unit.tx, owned, { status: 'failed', counts: null, code, detail: messageOf(error) });
    if (ended !== undefined) await noteRun(unit, integration, { error });
  });
  log.warn({ integration: integration.slug, code }, `failed to sync integration; it is tried again: ${messageOf(error)}`);
  if (!(error instanceof Problem)) throw error;
}
