import { type CommandMove, moveCommands } from '../command/store.ts';
import { noteLateFailures } from '../deployment/attempts.ts';
import { type Deployment, deferDeployments, deploymentsById, type Move, moveDeployments } from '../deployment/store.ts';
import type { Device } from '../device/device.ts';
import { type DeviceStanding, emitStanding } from '../device/events.ts';
import { noteInstances, type Sender } from '../device/instances-store.ts';
import { insertLogLines } from '../device/store/logs.ts';
import { healTargets, noteReports } from '../device/store/reports.ts';
import { rollBackToGood } from '../device/store/status.ts';
import { lockDevices } from '../device/store.ts';
import { type Store, transact, type Unit } from '../event/transact.ts';
import { UUID } from '../ids.ts';
import { deploy } from '../rollout/converge.ts';
import { activeRolloutsOf, rolloutsWithRoomFor, timedOutButWanted } from '../rollout/store/targets.ts';
import { insertTelemetry } from '../telemetry/store.ts';
import type { Report } from '../wire/agent.ts';
import { decideReports, type ReportOutcome } from './reports.ts';

export type ReportBatch = { deviceId: string; reports: Report[]; sender?: Sender | undefined; delivery?: DeliveryNote | undefined };

/**
 * Only the controller sends it, with reports of its own deliveries. `isContact`: the delivery shows that the device is online.
 * `unverified`: why nothing shows whether the device runs what its platform took; null: the device runs it.
 */
export type DeliveryNote = { isContact: boolean; unverified: string | null };

/** An ended attempt, for logs and metrics. `durationMs`: time since it was opened. */
export type Ended = { deviceId: string; deploymentId: string; state: 'succeeded' | 'failed'; code: string | null; durationMs: number };

export type Ingested = {
  /** Ids of the accepted `confirming` attempts, per device of the batch. */
  confirmed: Map<string, string[]>;
  ended: Ended[];
};

/**
 * Stores the reports of many devices of one organization in one transaction with a fixed number of statements. Idempotent: a report that arrives twice
 * has its effect once.
 */
export async function ingestReports(store: Store, organizationId: string, batches: readonly ReportBatch[]): Promise<Ingested> {
  return transact(store, async (unit) => {
    const reportsByDevice = mergeBatches(batches);
    const devices = await lockDevices(unit.tx, organizationId, [...reportsByDevice.keys()]);
    await noteInstances(
      unit,
      devices,
      new Map(batches.flatMap(({ deviceId, sender }) => (sender === undefined ? [] : [[deviceId, sender] as const]))),
    );
    const deployments = await deploymentsById(unit.tx, organizationId, deploymentIdsIn(batches));
    const stillWanted = await timedOutButWanted(
      unit.tx,
      organizationId,
      [...deployments.values()].filter(({ state }) => state === 'timed_out').map(({ id }) => id),
    );
    const notes = new Map(batches.map(({ deviceId, delivery }) => [deviceId, delivery]));
    const outcomes = devices.map((device) =>
      decideReports(device, deployments, reportsByDevice.get(device.id) ?? [], Math.random(), stillWanted, notes.get(device.id)),
    );
    const ended = await applyMoves(unit, organizationId, outcomes, deployments);
    const endedIds = new Set(ended.map(({ deploymentId }) => deploymentId));
    for (const { id, deviceId, until, reason } of await deferDeployments(
      unit.tx,
      organizationId,
      outcomes.flatMap((outcome) => outcome.deferrals),
    )) {
      const data = { deploymentId: id, until: until.toISOString(), reason };
      unit.emit({ organizationId, type: 'deployment.deferred', subject: `device:${deviceId}`, data });
    }
    await rollBackToGood(
      unit.tx,
      organizationId,
      outcomes.flatMap((outcome) => outcome.failed ?? []),
    );
    const lateFailures = outcomes.flatMap((outcome) => outcome.lateFailures);
    for (const id of await noteLateFailures(unit.tx, organizationId, lateFailures)) unit.enqueue('rollout', id);
    const standings = await noteReports(unit.tx, organizationId, outcomes);
    emitChanges(unit, devices, standings);
    const late = outcomes.filter(({ good }) => good?.isLate).map(({ deviceId }) => deviceId);
    if (late.length > 0) unit.wakeDevices(organizationId, late);
    await wakeRolloutsFor(unit, organizationId, devices);
    // A retry by an operator does not belong to a rollout, but a rollout may wait for its success.
    const retried = [...deployments.values()].filter(
      ({ id, kind, rolloutId }) => kind === 'retry' && rolloutId === null && endedIds.has(id),
    );
    const waiting = retried.map(({ deviceId }) => deviceId);
    for (const id of await activeRolloutsOf(unit.tx, organizationId, waiting)) unit.enqueue('rollout', id);
    await insertLogLines(
      unit.tx,
      organizationId,
      [...reportsByDevice].flatMap(([deviceId, reports]) => logLines(deviceId, reports)),
    );
    await insertTelemetry(
      unit.tx,
      organizationId,
      [...reportsByDevice].flatMap(([deviceId, reports]) => samples(deviceId, reports)),
    );
    await applyCommands(unit, organizationId, reportsByDevice);
    await healDiverged(unit, organizationId, devices, outcomes);
    return { confirmed: new Map(outcomes.map((outcome) => [outcome.deviceId, outcome.confirmed])), ended };
  });
}

function mergeBatches(batches: readonly ReportBatch[]): Map<string, Report[]> {
  const merged = new Map<string, Report[]>();
  for (const { deviceId, reports } of batches) merged.set(deviceId, [...(merged.get(deviceId) ?? []), ...reports]);
  const now = Date.now();
  return new Map([...merged].map(([deviceId, reports]) => [deviceId, withinTime(reports, now)]));
}

/** How far ahead a device's clock may be before its times are corrected. */
const CLOCK_AHEAD_MS = 60_000;

/**
 * Corrects the reports of a device whose clock is ahead: the newest gets the present time, and the distances stay. Dates in the future would sort
 * before all later ones and would never be pruned. Devices without a clock send times before 1970, which become 1970, since PostgreSQL has no year 0.
 */
function withinTime(reports: readonly Report[], now: number): Report[] {
  const newest = Math.max(...reports.map(({ at }) => Date.parse(at)));
  const ahead = newest > now + CLOCK_AHEAD_MS ? newest - now : 0;
  return reports.map((report) => {
    const at = Date.parse(report.at);
    const moved = Math.max(0, at > now ? at - ahead : at);
    return moved === at ? report : { ...report, at: new Date(moved).toISOString() };
  });
}

function deploymentIdsIn(batches: readonly ReportBatch[]): string[] {
  const ids = batches.flatMap(({ reports }) =>
    reports.flatMap((report) => (report.kind === 'deployment' || report.kind === 'deferred' ? [report.deploymentId] : [])),
  );
  return [...new Set(ids)].filter((id) => UUID.test(id));
}

/** Steps of one attempt in one batch become one move. A failure, the step before it and the rollback stay separate moves. */
const MOVE_ORDER = ['delivering', 'applying', 'confirming', 'succeeded', 'failed', 'rolled_back'];

async function applyMoves(
  unit: Unit,
  organizationId: string,
  outcomes: readonly ReportOutcome[],
  deployments: ReadonlyMap<string, Deployment>,
): Promise<Ended[]> {
  const ended: Ended[] = [];
  const moves = outcomes.flatMap((outcome) => collapse(outcome.moves)).sort((a, b) => MOVE_ORDER.indexOf(a.to) - MOVE_ORDER.indexOf(b.to));
  const moved = await moveDeployments(unit.tx, organizationId, moves);
  for (const move of moves) {
    const deployment = deployments.get(move.id);
    if (deployment === undefined || !moved.has(move.id)) continue;
    unit.emit({
      organizationId,
      type: 'deployment.state',
      subject: `device:${deployment.deviceId}`,
      data: {
        deploymentId: deployment.id,
        rolloutId: deployment.rolloutId,
        wave: deployment.wave,
        state: move.to,
        bundle: deployment.bundle,
        code: move.errorCode,
        detail: move.errorDetail,
      },
    });
    if (deployment.rolloutId !== null && (move.to === 'succeeded' || move.to === 'failed' || move.to === 'rolled_back'))
      unit.enqueue('rollout', deployment.rolloutId);
    if (move.to === 'succeeded') unit.enqueue('workspace', organizationId);
    if (move.to === 'succeeded' || move.to === 'failed')
      ended.push({
        deviceId: deployment.deviceId,
        deploymentId: deployment.id,
        state: move.to,
        code: move.errorCode,
        durationMs: Date.now() - deployment.createdAt.getTime(),
      });
  }
  return ended;
}

function collapse(moves: readonly Move[]): Move[] {
  return moves.filter((move, index) => {
    const next = moves[index + 1];
    return next === undefined || next.id !== move.id || move.to === 'failed' || next.to === 'failed';
  });
}

/** Wakes the rollouts that skipped these devices while they were offline. */
async function wakeRolloutsFor(unit: Unit, organizationId: string, devices: readonly Device[]): Promise<void> {
  const returned = devices.filter((device) => device.connectivity !== 'online' && device.following);
  if (returned.length === 0) return;
  const ids = returned.map((device) => device.id);
  for (const id of await rolloutsWithRoomFor(unit.tx, organizationId, ids)) unit.enqueue('rollout', id);
}

function logLines(deviceId: string, reports: readonly Report[]) {
  return reports.flatMap((report) =>
    report.kind === 'log'
      ? [
          {
            deviceId,
            reportId: report.id,
            deploymentId: UUID.test(report.deploymentId ?? '') ? (report.deploymentId ?? null) : null,
            at: report.at,
            level: report.level,
            message: report.message,
          },
        ]
      : [],
  );
}

function samples(deviceId: string, reports: readonly Report[]) {
  return reports.flatMap((report) => (report.kind === 'telemetry' ? [{ deviceId, at: report.at, metrics: report.metrics }] : []));
}

async function applyCommands(unit: Unit, organizationId: string, reportsByDevice: ReadonlyMap<string, Report[]>): Promise<void> {
  const moves: CommandMove[] = [...reportsByDevice].flatMap(([deviceId, reports]) =>
    reports.flatMap((report) =>
      report.kind === 'command' ? [{ deviceId, commandId: report.commandId, to: report.state, result: report.result }] : [],
    ),
  );
  for (const command of await moveCommands(unit.tx, organizationId, moves)) {
    unit.emit({
      organizationId,
      type: 'command.state',
      subject: `device:${command.deviceId}`,
      data: { commandId: command.id, type: command.type, state: command.state, result: command.result },
    });
    if (command.state !== 'sent') unit.wakeDevices(organizationId, [command.deviceId]);
  }
}

/** Deploys the desired bundle again to diverged devices, where the source has the drift policy `heal`. */
async function healDiverged(
  unit: Unit,
  organizationId: string,
  devices: readonly Device[],
  outcomes: readonly ReportOutcome[],
): Promise<void> {
  const diverged = new Set(outcomes.filter((outcome) => outcome.diverged).map((outcome) => outcome.deviceId));
  if (diverged.size === 0) return;
  await deploy(unit, organizationId, await healTargets(unit.tx, organizationId, [...diverged]), { kind: 'heal' });
  for (const device of devices.filter((candidate) => diverged.has(candidate.id))) {
    unit.emit({
      organizationId,
      type: 'device.drifted',
      subject: `device:${device.id}`,
      data: { desired: device.desiredBundle, reported: device.reportedBundle },
    });
  }
}

/** Emits one event per device whose shown status changed; `device_update` is made of it. Attempts that are opened afterwards emit their own events. */
function emitChanges(unit: Unit, devices: readonly Device[], standings: readonly DeviceStanding[]): void {
  const before = new Map(devices.map((device) => [device.id, device]));
  for (const device of standings) {
    const { syncStatus, connectivity } = before.get(device.id) ?? device;
    if (device.syncStatus === syncStatus && device.connectivity === connectivity) continue;
    emitStanding(unit, 'device.status', device, { previous: syncStatus });
  }
}
