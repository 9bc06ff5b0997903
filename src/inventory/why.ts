import type { LatestPush } from '../adapter/pushes-store.ts';
import type { ShownFailure } from '../db/job-failures-store.ts';
import type { Deployment } from '../deployment/store.ts';
import type { Device } from '../device/device.ts';
import { describeClones, type SeenInstance } from '../device/instances-store.ts';
import type { Reenrolment } from '../device/reenrolment-store.ts';
import type { SourcePath } from '../revision/store.ts';
import type { Rollout } from '../rollout/rollout.ts';
import type { Source } from '../source/source.ts';

/** One reason why a device does not run its bundle in Git. `unblockedBy`: the person or event that can end it. */
export type Blocker = { code: string; detail: string; since: Date | null; unblockedBy: string };

export type WhySnapshot = {
  device: Device;
  source: Source | undefined;
  path: SourcePath | undefined;
  /** The device's newest attempt. */
  deployment: Deployment | undefined;
  retryAt: Date | null;
  /** The source's newest rollout. */
  rollout: Rollout | undefined;
  /** Jobs of the service for this device that keep failing. */
  failures: readonly ShownFailure[];
  /** Hold of the device's site. */
  siteHold: { name: string; at: Date; by: string; reason: string } | null;
  now: Date;
  /** Its newest delivery through a platform. */
  push?: LatestPush | undefined;
  /** Its adapter delivers through an integration, and none has the device. */
  isUnassigned?: boolean;
  /** Folders of the source's head that have the name of the device's folder. */
  namesakes: readonly string[];
  /** Request of a machine to enrol as this device. */
  reenrolment: Reenrolment | undefined;
  /** Agents that used the device's key, the most recent first. */
  instances: readonly SeenInstance[];
};

/** Returns the blockers in the order in which they must be lifted; empty when the device runs its folder's bundle of the source's head. Pure. */
export function why(snapshot: WhySnapshot): Blocker[] {
  const blockers = [
    ...identityBlockers(snapshot),
    ...bindingBlockers(snapshot),
    ...sourceBlockers(snapshot),
    ...holdBlockers(snapshot),
    ...withheldBlockers(snapshot),
    ...deliveryBlockers(snapshot),
    ...driftBlockers(snapshot.device),
    ...proofBlockers(snapshot),
    ...failureBlockers(snapshot),
  ];
  return blockers;
}

/** An older request counts as abandoned. */
const REQUEST_COUNTS_MS = 86_400_000;

/** Blockers about the machine that uses the device's id. */
function identityBlockers({ device, reenrolment, instances, now }: WhySnapshot): Blocker[] {
  const blockers: Blocker[] = [];
  const asked = reenrolment?.lastRequestedAt;
  if (
    asked != null &&
    asked.getTime() > now.getTime() - REQUEST_COUNTS_MS &&
    !(reenrolment?.allowedUntil && reenrolment.allowedUntil > now)
  ) {
    const machine = reenrolment?.machine == null ? 'A machine' : `Machine ${reenrolment.machine}`;
    blockers.push({
      code: 'reenrolment_requested',
      detail: `${machine} at ${reenrolment?.address} requests to enrol as "${device.id}", which is registered, and is not admitted`,
      since: reenrolment?.requestedAt ?? null,
      unblockedBy: `an operator: devices reenrol ${device.id} if this device was flashed again, with --refuse if not`,
    });
  }
  if (device.clonedSince !== null)
    blockers.push({
      code: 'cloned',
      detail: describeClones(instances),
      since: device.clonedSince,
      unblockedBy: 'stopping the copy: empty its root directory except for hooks, and enrol it under an id of its own',
    });
  return blockers;
}

function bindingBlockers(snapshot: WhySnapshot): Blocker[] {
  const { device } = snapshot;
  if (snapshot.isUnassigned !== true) return sourceBinding(snapshot);
  const detail = `Device "${device.id}" has adapter "${device.adapter}", and no integration of type "${device.adapter}" has it`;
  const blocker = { code: 'not_assigned', detail, since: null, unblockedBy: 'assigning it to an integration of that type' };
  return [blocker, ...sourceBinding(snapshot)];
}

function sourceBinding({ device, source }: WhySnapshot): Blocker[] {
  if (device.sourceId === null || source === undefined) {
    return [
      {
        code: 'not_bound',
        detail: `Device "${device.id}" is bound to no source`,
        since: null,
        unblockedBy: 'bind it: PATCH the device with sourceId',
      },
    ];
  }
  if (!device.following)
    return [
      {
        code: 'stopped',
        detail: `Device "${device.id}" does not follow its source`,
        since: device.updatedAt,
        unblockedBy: 'start the device',
      },
    ];
  return [];
}

function sourceBlockers(snapshot: WhySnapshot): Blocker[] {
  const { source, path, device } = snapshot;
  if (source === undefined) return [];
  const blockers: Blocker[] = [];
  if (source.errorCode !== null) {
    const detail = `Source "${source.name}" cannot be read: ${source.errorDetail ?? source.errorCode}`;
    blockers.push({ code: `source_${source.errorCode}`, detail, since: source.lastCheckedAt, unblockedBy: sourceRemedy(source.errorCode) });
  } else if (source.status === 'new') {
    blockers.push({
      code: 'source_not_synced',
      detail: `Source "${source.name}" has not been checked yet`,
      since: source.createdAt,
      unblockedBy: 'its first sync',
    });
  } else if (source.status === 'waiting') {
    blockers.push({
      code: 'commit_not_visible',
      detail: `A webhook named ${source.expectedCommit}, which the remote does not show yet`,
      since: source.hookReceivedAt,
      unblockedBy: 'the git host',
    });
  }
  if (path === undefined && source.headCommit !== null && source.status !== 'invalid') {
    blockers.push({
      code: 'folder_missing',
      detail: `"${device.path}" is not a device folder of source "${source.name}"${ofThatName(snapshot)}`,
      since: source.lastSyncedAt,
      unblockedBy: `a commit that adds it, or another path: devices bind ${device.id} --path <folder>`,
    });
  }
  return [...blockers, ...verdictBlockers(snapshot, source)];
}

/** Lists the folders of that name: with several, the device follows none of them. */
function ofThatName({ namesakes }: WhySnapshot): string {
  if (namesakes.length === 0) return '';
  const shown = namesakes.slice(0, 5).join(', ');
  return `; folders of that name: ${shown}${namesakes.length > 5 ? `, and ${namesakes.length - 5} more` : ''}`;
}

function sourceRemedy(code: string): string {
  if (code === 'git_auth') return 'valid credentials: PATCH the source with auth';
  if (code === 'ref_missing' || code === 'repository_empty') return 'a push that creates the ref, or another ref';
  if (code === 'git_not_found' || code === 'invalid_url' || code === 'git_redirect') return 'the right URL: PATCH the source with url';
  if (code === 'git_rate_limited') return 'the git host, when it accepts requests again';
  if (code === 'internal_error') return 'the operators of this service; the service retries by itself';
  return 'the git host; the service retries by itself';
}

function verdictBlockers(snapshot: WhySnapshot, source: Source): Blocker[] {
  const { path, device } = snapshot;
  if (path?.isStale) {
    return [
      {
        code: 'being_evaluated',
        detail: `A device of "${path.path}" changed: the folder is evaluated again for it`,
        since: path.updatedAt,
        unblockedBy: source.heldAt === null ? 'the next check of the source' : 'releasing the source',
      },
    ];
  }
  if (path?.verdict === 'missing') {
    return [
      {
        code: 'folder_removed',
        detail: `The head of "${source.name}" no longer has "${path.path}"; the device keeps its bundle${ofThatName(snapshot)}`,
        since: path.updatedAt,
        unblockedBy: `a commit that restores it, or another binding: devices bind ${device.id} --path <folder>`,
      },
    ];
  }
  if (path?.verdict === 'invalid') {
    const first = path.errors[0]?.message ?? 'it is invalid';
    return [{ code: 'validation_failed', detail: first, since: path.updatedAt, unblockedBy: 'a commit that fixes it' }];
  }
  if (source.status === 'invalid') {
    return [
      {
        code: 'revision_rejected',
        detail: `The head of "${source.name}" (${source.headCommit?.slice(0, 12)}) does not validate`,
        since: source.lastSyncedAt,
        unblockedBy: 'a commit that fixes it',
      },
    ];
  }
  return [];
}

function holdBlockers({ device: { hold }, siteHold, source }: WhySnapshot): Blocker[] {
  const blockers: Blocker[] = [];
  if (hold !== null) {
    const until = hold.untilNewerRevision ? 'a newer revision, or lifting the hold' : 'lifting the hold';
    blockers.push({ code: 'held', detail: `Held by ${hold.by}: ${hold.reason}`, since: new Date(hold.at), unblockedBy: until });
  }
  if (siteHold !== null) {
    const detail = `Site "${siteHold.name}" is held by ${siteHold.by}: ${siteHold.reason}`;
    blockers.push({ code: 'site_held', detail, since: siteHold.at, unblockedBy: "lifting the site's hold" });
  }
  if (source !== undefined && source.heldAt !== null) {
    const detail = `Source "${source.name}" is held by ${source.heldBy}: ${source.holdReason}`;
    blockers.push({ code: 'source_held', detail, since: source.heldAt, unblockedBy: "lifting the source's hold" });
  }
  return blockers;
}

/** Lifting a source's hold does not start a revision whose rollout was aborted. */
function withheldBlockers({ source, path }: WhySnapshot): Blocker[] {
  if (source === undefined || path === undefined || source.heldAt !== null || source.status === 'invalid') return [];
  if (path.verdict !== 'valid' || path.candidate === path.bundle) return [];
  const detail = `The rollout of the head of "${source.name}" was aborted, and lifting the hold did not start it again`;
  return [{ code: 'not_started', detail, since: path.updatedAt, unblockedBy: 'a newer commit, or `rollouts start`' }];
}

/** Explains why the source's rollout has not deployed the folder's bundle to the device. */
function rolloutBlocker({ rollout, path }: WhySnapshot): Blocker[] {
  const since = rollout?.startedAt ?? path?.updatedAt ?? null;
  if (rollout === undefined || rollout.state === 'completed' || rollout.state === 'superseded') {
    const detail = rollout?.waiting?.detail ?? 'The rollout has not reached the device yet';
    return [{ code: 'awaiting_rollout', detail, since, unblockedBy: 'the rollout' }];
  }
  if (rollout.state === 'aborted' || rollout.state === 'reverting' || rollout.state === 'reverted') {
    const detail = `Rollout ${rollout.id} was aborted: ${rollout.endDetail ?? rollout.endCode}`;
    return [{ code: 'rollout_aborted', detail, since: rollout.finishedAt, unblockedBy: 'a newer commit, or a new rollout of this one' }];
  }
  // An error of the rollout's own check may stand in `waiting`; the device waits for the end of the pause all the same.
  const waiting = rollout.state === 'paused' && rollout.waiting?.code !== 'paused' ? null : rollout.waiting;
  const code = ROLLOUT_CODES[waiting?.code ?? rollout.state] ?? 'awaiting_rollout';
  const detail = `Rollout ${rollout.id} is ${rollout.state}${waiting === null ? '' : `: ${waiting.detail}`}`;
  return [{ code, detail, since, unblockedBy: ROLLOUT_REMEDIES[code] ?? 'the rollout' }];
}

/** Reasons of a waiting rollout that an operator or another event must end. */
const ROLLOUT_CODES: Readonly<Record<string, string>> = {
  paused: 'rollout_paused',
  awaiting_approval: 'awaiting_approval',
  window_closed: 'window_closed',
  dependency: 'dependency',
  internal_error: 'internal_error',
  no_success: 'no_success',
  gate: 'gate',
};
const ROLLOUT_REMEDIES: Readonly<Record<string, string>> = {
  rollout_paused: 'resuming the rollout',
  awaiting_approval: 'an approval',
  window_closed: 'the next window, or an admin who overrides it',
  dependency: 'the rollout that must complete first',
  internal_error: 'the operators of this service; the service retries by itself',
  no_success: 'a success in the wave, a newer commit, or an operator who skips the wave',
  gate: 'more successes in the wave, a newer commit, or an operator who skips the wave',
};

function deliveryBlockers(snapshot: WhySnapshot): Blocker[] {
  const { device, path, deployment, retryAt } = snapshot;
  const wanted = path?.bundle ?? null;
  if (wanted === null || (device.reportedBundle === wanted && device.deploymentId === null)) return [];
  const blockers: Blocker[] = [];
  if (device.connectivity !== 'online' && device.adapter === 'agent') {
    const since = device.lastSeenAt;
    blockers.push({
      code: since === null ? 'never_seen' : 'offline',
      detail: since === null ? 'The device has never connected' : `The device has not connected since ${since.toISOString()}`,
      since,
      unblockedBy: 'the device, when it connects',
    });
  }
  if (device.quarantinedBundle === wanted) {
    const reason = `${device.errorCode ?? 'failed'}${device.errorDetail ? `: ${device.errorDetail}` : ''}`;
    if (retryAt !== null)
      blockers.push({
        code: 'retry_scheduled',
        detail: `The last attempt failed (${reason})`,
        since: device.syncSince,
        unblockedBy: `the next attempt at ${retryAt.toISOString()}`,
      });
    else
      blockers.push({
        code: 'rolled_back',
        detail: `The device rolled this bundle back and keeps it in quarantine (${reason})`,
        since: device.syncSince,
        unblockedBy: 'a commit that changes it, or a retry by an operator',
      });
  } else if (device.deploymentId !== null && deployment?.deferredUntil != null && deployment.state === 'queued') {
    const until = deployment.deferredUntil.toISOString();
    const detail = `The device is busy until ${until}: ${deployment.deferReason ?? ''}`;
    blockers.push({ code: 'busy', detail, since: deployment.createdAt, unblockedBy: `the device, at ${until}` });
  } else if (device.deploymentId !== null) {
    blockers.push({
      code: 'deploying',
      detail: `Deployment ${device.deploymentId} is ${deployment?.state ?? 'open'}`,
      since: deployment?.createdAt ?? null,
      unblockedBy: snapshot.push?.detail == null ? 'the device' : `the device: ${snapshot.push.detail}`,
    });
  } else if (device.hold === null && snapshot.siteHold === null && device.following) {
    blockers.push(...rolloutBlocker(snapshot));
  }
  return blockers;
}

const FAILING: Readonly<Record<string, string>> = { deployment: 'delivery_failing', workspace: 'workspace_failing' };

/** Failures of delivery jobs concern only devices with an adapter that pushes. */
function failureBlockers({ device, failures }: WhySnapshot): Blocker[] {
  const own = failures.filter(({ queue }) => queue !== 'deployment' || device.adapter !== 'agent');
  return own.map(({ queue, error, since, retryAt }) => {
    const what = queue === 'deployment' ? 'deliver to the device' : 'update its workspace';
    const detail = `Cannot ${what}: unexpected error of this service, "${error}"; the next attempt is at ${retryAt.toISOString()}`;
    return { code: FAILING[queue] ?? 'job_failing', detail, since, unblockedBy: 'the operators of this service' };
  });
}

function proofBlockers({ device, push }: WhySnapshot): Blocker[] {
  if (device.syncStatus !== 'unverified') return [];
  return [
    {
      code: 'unverified',
      detail: `Applied, unverified: ${push?.detail ?? 'the platform shows nothing by which it could be verified'}`,
      since: device.syncSince,
      unblockedBy: 'the platform, once it shows what the device runs',
    },
  ];
}

function driftBlockers(device: Device): Blocker[] {
  if (device.syncStatus !== 'drifted') return [];
  const paths = device.driftedPaths ?? [];
  return [
    {
      code: 'drifted',
      detail: `Changed by hand on the device: ${paths.slice(0, 5).join(', ')}${paths.length > 5 ? ` and ${paths.length - 5} more` : ''}`,
      since: device.syncSince,
      unblockedBy: 'undoing it, or drift policy "heal"',
    },
  ];
}
