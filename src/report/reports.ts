import { afterFailure, type DeploymentState, isOpen, STEP_TIMEOUT_SECONDS, TRANSITIONS } from '../deployment/deployment.ts';
import { type Deferral, type Deployment, isRevert, type LateFailure, type Move } from '../deployment/store.ts';
import type { Device } from '../device/device.ts';
import type { ReportedChange } from '../device/store/reports.ts';
import type { FailedAttempt } from '../device/store/status.ts';
import { type SyncCause, statusAfter } from '../device/sync.ts';
import type { Report } from '../wire/agent.ts';

/** Changes that a batch of reports of one device causes. It is plain data, which `ingest` writes in sets. */
export type ReportOutcome = ReportedChange & {
  moves: Move[];
  /** Attempts that the device defers because it is busy. */
  deferrals: Deferral[];
  /** Attempts that failed on the device after another attempt had replaced them. */
  lateFailures: LateFailure[];
  /** The attempt that failed in this batch, with or without a retry. */
  failed: FailedAttempt | null;
  /** The device runs another bundle than the desired one and has no open attempt, so a heal is due. */
  diverged: boolean;
  /** Attempts whose `confirming` the server accepts: the agent makes them permanent. */
  confirmed: string[];
};

type DeploymentReport = Extract<Report, { kind: 'deployment' }>;

/**
 * Decides the changes that the reports of one device cause, oldest first. Pure. Repeated or late reports change nothing.
 * @param delivery set for reports of the controller's own deliveries
 * @param stillWanted attempts that timed out and may still succeed; the desired state of all others already requires a rollback
 */
export function decideReports(
  device: Device,
  deployments: ReadonlyMap<string, Deployment>,
  reports: readonly Report[],
  random: number,
  stillWanted: ReadonlySet<string>,
  delivery: { isContact: boolean; unverified: string | null } = { isContact: true, unverified: null },
): ReportOutcome {
  const outcome: ReportOutcome = {
    deviceId: device.id,
    isContact: delivery.isContact,
    moves: [],
    deferrals: [],
    lateFailures: [],
    failed: null,
    good: null,
    reportedBundle: undefined,
    reportedAt: undefined,
    reportedSequence: undefined,
    agentVersion: undefined,
    syncStatus: undefined,
    driftedPaths: undefined,
    diverged: false,
    confirmed: [],
  };
  const states = new Map<string, DeploymentState>();
  for (const report of reports) {
    if (report.kind === 'deployment') {
      const deployment = deployments.get(report.deploymentId);
      takeStep(device, deployment, report, states, outcome, {
        random,
        mayBeLate: stillWanted.has(report.deploymentId),
        isUnverified: delivery.unverified !== null,
      });
    } else if (report.kind === 'deferred') takeDeferral(device, deployments.get(report.deploymentId), report, outcome);
    else if (report.kind === 'heartbeat') takeHeartbeat(device, report, outcome);
    else if (report.kind === 'drift') takeDrift(device, report, outcome);
  }
  outcome.diverged = hasDiverged(device, outcome);
  return outcome;
}

function takeStep(
  device: Device,
  deployment: Deployment | undefined,
  report: DeploymentReport,
  states: Map<string, DeploymentState>,
  outcome: ReportOutcome,
  { random, mayBeLate, isUnverified }: { random: number; mayBeLate: boolean; isUnverified: boolean },
): void {
  outcome.reportedBundle = report.runningDigest;
  outcome.reportedAt = report.at;
  if (deployment === undefined || deployment.deviceId !== device.id) return;
  const from = states.get(deployment.id) ?? deployment.state;
  if (report.state === 'confirming' && (from === 'confirming' || from === 'succeeded')) confirm(deployment, outcome);
  if (report.state === 'failed' && (from === 'superseded' || from === 'cancelled'))
    outcome.lateFailures.push({ id: deployment.id, deviceId: device.id, code: report.code ?? 'failed', detail: report.detail ?? '' });
  if (!TRANSITIONS[from].includes(report.state)) return;
  const isLate = from === 'timed_out' && report.state === 'succeeded';
  if (isLate && !mayBeLate) return;
  states.set(deployment.id, report.state);
  if (report.state === 'confirming') confirm(deployment, outcome);
  const current = device.deploymentId === deployment.id || (device.deploymentId === null && !isOpen(deployment.state));
  const failure = report.state === 'failed' ? failureOf(report, deployment, random) : null;
  outcome.moves.push({
    id: deployment.id,
    deviceId: device.id,
    to: report.state,
    deadlineSeconds: deadlineOf(report.state),
    errorCode: failure?.code ?? null,
    errorDetail: failure?.detail ?? null,
    retryInSeconds: failure?.retryInSeconds ?? null,
  });
  if (!current) return;
  noteStatus(device, outcome, causeOf(report.state, deployment, isUnverified));
  if (report.state === 'succeeded') {
    outcome.good = { bundle: deployment.bundle, revisionId: deployment.revisionId, isLate };
    outcome.driftedPaths = null;
  }
  if (failure !== null)
    outcome.failed = {
      deviceId: device.id,
      bundle: deployment.bundle,
      code: failure.code,
      detail: failure.detail,
      isRevert: isRevert(deployment),
    };
}

/** A revert that nothing proves still shows as `rolled_back`: the device does not follow Git. */
function causeOf(state: DeploymentReport['state'], deployment: Deployment, isUnverified: boolean): SyncCause {
  if (state !== 'succeeded') return state;
  if (isRevert(deployment)) return 'reverted';
  return isUnverified ? 'unverified' : 'succeeded';
}

function takeDeferral(
  device: Device,
  deployment: Deployment | undefined,
  report: Extract<Report, { kind: 'deferred' }>,
  outcome: ReportOutcome,
): void {
  if (deployment?.deviceId !== device.id || deployment.state !== 'queued') return;
  outcome.deferrals.push({ id: deployment.id, deviceId: device.id, until: report.until, reason: report.reason ?? 'busy' });
}

function confirm(deployment: Deployment, outcome: ReportOutcome): void {
  if (!outcome.confirmed.includes(deployment.id)) outcome.confirmed.push(deployment.id);
}

function failureOf(
  report: DeploymentReport,
  deployment: Deployment,
  random: number,
): { code: string; detail: string; retryInSeconds: number | null } {
  const code = report.code ?? 'failed';
  const next = afterFailure(code, deployment.attempt, random, deployment.maxAttempts);
  return { code, detail: report.detail ?? '', retryInSeconds: next.do === 'retry' ? next.inSeconds : null };
}

function deadlineOf(state: DeploymentReport['state']): number | null {
  return state === 'delivering' || state === 'applying' || state === 'confirming' ? STEP_TIMEOUT_SECONDS[state] : null;
}

function takeHeartbeat(device: Device, report: Extract<Report, { kind: 'heartbeat' }>, outcome: ReportOutcome): void {
  outcome.agentVersion = report.agentVersion;
  if (isOutdated(report.at, outcome.reportedAt ?? device.reportedAt?.toISOString())) return;
  outcome.reportedBundle = report.runningDigest;
  outcome.reportedAt = report.at;
  outcome.reportedSequence = Math.max(report.sequence, outcome.reportedSequence ?? 0);
}

/** A heartbeat may wait in memory while a deployment's reports overtake it. One that is an hour or more behind is not old: the device's clock was set back. */
const CLOCK_STEP_MS = 3_600_000;

function isOutdated(at: string, latest: string | undefined): boolean {
  if (latest === undefined) return false;
  const behindMs = Date.parse(latest) - Date.parse(at);
  return behindMs > 0 && behindMs < CLOCK_STEP_MS;
}

function takeDrift(device: Device, report: Extract<Report, { kind: 'drift' }>, outcome: ReportOutcome): void {
  outcome.reportedBundle = report.runningDigest;
  outcome.reportedAt = report.at;
  const stillDrifted = report.changed.length > 0 && !report.healed;
  outcome.driftedPaths = stillDrifted ? report.changed : null;
  noteStatus(device, outcome, stillDrifted ? 'drift_found' : 'drift_gone');
}

function noteStatus(device: Device, outcome: ReportOutcome, cause: SyncCause): void {
  const syncStatus = outcome.syncStatus ?? device.syncStatus;
  const next = statusAfter(cause, { syncStatus, hold: device.hold, goodBundle: outcome.good?.bundle ?? device.goodBundle });
  if (next !== undefined) outcome.syncStatus = next;
}

/** Only a device that has received the present desired state can diverge from it. A device with an open or failed attempt does not count. */
function hasDiverged(device: Device, outcome: ReportOutcome): boolean {
  if (outcome.reportedBundle === undefined || outcome.failed !== null || outcome.moves.length > 0) return false;
  if (outcome.reportedSequence === undefined || outcome.reportedSequence < device.sequence) return false;
  if (device.deploymentId !== null || device.desiredBundle === null || !device.following) return false;
  return outcome.reportedBundle !== device.desiredBundle;
}
