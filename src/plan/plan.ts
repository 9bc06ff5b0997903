import { bakeSecondsOf, type RolloutPolicy, waveCount, waveName } from '../policy/policy.ts';
import { windowState } from '../policy/windows.ts';
import type { ConfigError } from '../revision/revision.ts';
import type { OutReason } from '../rollout/decide/snapshot.ts';
import type { Waiting } from '../rollout/rollout.ts';
import { forecast, type Member } from './forecast.ts';
import { type Assignment, assignWaves } from './waves.ts';

export type PlanVerdict = 'valid' | 'partial' | 'invalid';
export type FolderVerdict = 'valid' | 'invalid' | 'missing';

/** A device that is bound to the source, and the facts that may block its change. */
export type PlanDevice = {
  id: string;
  path: string;
  labels: Readonly<Record<string, string>>;
  siteId: string | null;
  following: boolean;
  held: boolean;
  /** The hold ends with a newer revision of its folder. */
  heldUntilNewer: boolean;
  siteHeld: boolean;
  reachable: boolean;
  desiredBundle: string | null;
  /** The bundle that it reports, else the one that it last confirmed. */
  runningBundle: string | null;
  quarantinedBundle: string | null;
};

/** A device folder in its current state and in the planned commit. */
export type PlanFolder = {
  path: string;
  /** The bundle that its devices should run now. */
  released: string | null;
  /** The last valid bundle; the next rollout delivers it. */
  candidate: string | null;
  /** The last completed rollout delivered the folder's current content. */
  isReleased: boolean;
  /** The folder in the prepared head; null: it has no such folder. */
  before: { verdict: FolderVerdict; messages: readonly string[] } | null;
  after: { verdict: FolderVerdict; bundle: string | null; errors: readonly ConfigError[] };
};

export type PlanFacts = {
  layout: 'repo' | 'fleet';
  allOrNothing: boolean;
  /** Errors of the commit as a whole. */
  errors: readonly ConfigError[];
  folders: readonly PlanFolder[];
  devices: readonly PlanDevice[];
  policy: RolloutPolicy;
  /** Holds, and sources that this one depends on. */
  blockers: readonly PlanBlocker[];
};

/** `until`: the time at which the blocker ends by itself. */
export type PlanBlocker = { code: string; detail: string; until: Date | null };

export const DEVICE_BLOCKERS = ['held', 'site_held', 'offline', 'stopped', 'quarantined', 'validation'] as const;
export type DeviceBlocker = (typeof DEVICE_BLOCKERS)[number];
export type DeviceChange = 'changed' | 'added' | 'removed' | 'unchanged';

export type PlannedDevice = {
  id: string;
  path: string;
  change: DeviceChange;
  verdict: FolderVerdict;
  /** null: no wave takes the device in its current state. */
  wave: number | null;
  blockers: DeviceBlocker[];
  /** The bundles before and after; equal if the device does not change. */
  from: string | null;
  to: string | null;
};

/** `stop`: the reason for which the rollout would stop or end at the wave. */
export type PlannedWave = {
  wave: number;
  name: string;
  devices: number;
  /** They count as failed. */
  quarantined: number;
  approval: boolean;
  bakeSeconds: number;
  stop: Waiting | null;
};

export type PlanSummary = { devices: number; changed: number; blocked: number; invalid: number; unchanged: number; folders: number };

export type Outline = {
  verdict: PlanVerdict;
  /** Folders with errors that the commit introduces: they are invalid, and were not invalid before for the same reasons. */
  faulty: PlanFolder[];
  devices: PlannedDevice[];
  waves: PlannedWave[];
  blockers: PlanBlocker[];
  summary: PlanSummary;
};

/** Computes the effect on every device if the commit became the source's head. Pure. */
export function outline(facts: PlanFacts, now: Date): Outline {
  const verdict = verdictOf(facts);
  const targets = new Map(facts.folders.map((folder) => [folder.path, targetOf(folder, verdict)]));
  const byPath = new Map(facts.folders.map((folder) => [folder.path, folder]));
  const isReleased = (folder: PlanFolder) => targets.get(folder.path) !== folder.released;
  // A commit that changes no folder starts no rollout, even if some devices are out of date.
  const starts = facts.folders.some(isReleased);
  const seen = facts.devices.map((device) => {
    const folder = byPath.get(device.path);
    const to = targets.get(device.path) ?? null;
    const released = folder !== undefined && isReleased(folder);
    return judge(device, folder, {
      to,
      starts,
      released,
      changed: released || folder?.isReleased === false,
      refused: verdict === 'invalid',
    });
  });
  const assignment = assignWaves(
    facts.policy,
    seen.flatMap(({ device, isEligible }) => (isEligible ? [device] : [])),
    seen.flatMap(({ device, isQuarantined }) => (isQuarantined ? [device] : [])),
  );
  const devices = seen.map(({ planned, isEligible }) => ({
    ...planned,
    wave: isEligible ? (assignment.waves.get(planned.id) ?? null) : null,
  }));
  const planned = wavesOf(facts.policy, devices, assignment, starts ? forecast(facts.policy, seen.map(memberOf), assignment) : []);
  return {
    verdict,
    faulty: facts.folders.filter((folder) => folder.after.errors.length > 0 && (verdict === 'invalid' || isNew(folder))),
    devices,
    waves: planned,
    blockers: starts ? blockersOf(facts, now) : [],
    summary: summaryOf(devices, facts.folders.filter(isReleased).length),
  };
}

/** Whether the author must change the commit. */
export function isRefused({ verdict, errors }: { verdict: PlanVerdict; errors: readonly unknown[] }): boolean {
  return verdict === 'invalid' || errors.length > 0;
}

/** Applies the controller's rule for revisions: an invalid folder in a fleet blocks only its own devices, unless the source is set to all or nothing. */
function verdictOf({ errors, folders, layout, allOrNothing }: PlanFacts): PlanVerdict {
  if (errors.length > 0) return 'invalid';
  const present = folders.filter(({ after }) => after.verdict !== 'missing');
  const invalid = present.filter(({ after }) => after.verdict === 'invalid').length;
  if (invalid === 0) return 'valid';
  return allOrNothing || layout === 'repo' || invalid === present.length ? 'invalid' : 'partial';
}

function isNew({ before, after }: PlanFolder): boolean {
  if (before?.verdict !== 'invalid') return true;
  const known = new Set(before.messages);
  return after.errors.some(({ message }) => !known.has(message));
}

/** Returns the desired bundle of the folder's devices. For an invalid or removed folder, this is the last valid one. */
function targetOf({ after, candidate, released }: PlanFolder, verdict: PlanVerdict): string | null {
  if (verdict === 'invalid') return released;
  return after.verdict === 'valid' ? after.bundle : candidate;
}

/** `changed`: the folder differs from what the last completed rollout delivered. */
type FolderOutcome = { to: string | null; starts: boolean; released: boolean; changed: boolean; refused: boolean };
type Judged = {
  device: PlanDevice;
  planned: Omit<PlannedDevice, 'wave'>;
  isEligible: boolean;
  /** The device counts as failed, without an attempt. */
  isQuarantined: boolean;
  why: OutReason | null;
  changed: boolean;
};

function judge(device: PlanDevice, folder: PlanFolder | undefined, outcome: FolderOutcome): Judged {
  const { to, starts, released, changed, refused } = outcome;
  const { id, path } = device;
  const verdict = folder?.after.verdict ?? 'missing';
  const from = device.desiredBundle ?? device.runningBundle;
  const differs = starts && to !== null && to !== device.desiredBundle && (device.desiredBundle !== null || to !== device.runningBundle);
  const isGone = verdict === 'missing' && folder?.before != null && folder.before.verdict !== 'missing' && !refused;
  const isRolledBack = differs && device.quarantinedBundle === to;
  const change = differs ? (from === null ? 'added' : 'changed') : isGone ? 'removed' : 'unchanged';
  const wanted = folder?.after.bundle ?? null;
  const isRefused = verdict === 'invalid' || (refused && wanted !== null && wanted !== from);
  const lasting: DeviceBlocker[] = [
    ...(device.following ? [] : (['stopped'] as const)),
    ...(device.held && !(device.heldUntilNewer && released) ? (['held'] as const) : []),
    ...(device.siteHeld ? (['site_held'] as const) : []),
    ...(isRolledBack ? (['quarantined'] as const) : []),
  ];
  const isEligible = starts && to !== null && to !== device.desiredBundle && lasting.length === 0;
  const blockers: DeviceBlocker[] = differs
    ? [...(isRefused ? (['validation'] as const) : []), ...lasting, ...(device.reachable ? [] : (['offline'] as const))]
    : isRefused
      ? ['validation']
      : [];
  const planned: Judged['planned'] = { id, path, change, verdict, blockers, from, to: differs ? to : from };
  const isInvalid = verdict === 'invalid' && (folder?.after.errors.length ?? 0) > 0;
  const why = isInvalid ? 'invalid' : to === null ? 'no_bundle' : whyOut(device, to, lasting);
  return { device, planned, isEligible, isQuarantined: isRolledBack && changed, why, changed };
}

/** Why the device does not count as a success of its wave; null: it runs the desired bundle. */
function whyOut(device: PlanDevice, to: string, lasting: readonly DeviceBlocker[]): OutReason | null {
  if (to === device.desiredBundle && to === device.runningBundle) return null;
  const [first] = lasting.toSorted((a, b) => Number(b === 'quarantined') - Number(a === 'quarantined'));
  if (first === 'quarantined' || first === 'stopped' || first === 'held' || first === 'site_held') return first;
  return device.reachable ? 'not_updated' : 'offline';
}

function memberOf({ device, isEligible, isQuarantined, why, changed }: Judged): Member {
  return { device, isEligible, isQuarantined, why, changed };
}

function wavesOf(
  policy: RolloutPolicy,
  devices: readonly PlannedDevice[],
  { quarantined }: Assignment,
  stops: readonly (Waiting | null)[],
): PlannedWave[] {
  const counts = new Map<number, number>();
  for (const { wave } of devices) if (wave !== null) counts.set(wave, (counts.get(wave) ?? 0) + 1);
  return Array.from({ length: waveCount(policy) }, (_, wave) => ({
    wave,
    name: waveName(policy, wave),
    devices: counts.get(wave) ?? 0,
    quarantined: quarantined[wave] ?? 0,
    approval: policy.waves?.[wave]?.approval === true,
    bakeSeconds: bakeSecondsOf(policy, wave),
    stop: stops[wave] ?? null,
  }));
}

function blockersOf({ policy, blockers }: PlanFacts, now: Date): PlanBlocker[] {
  const window = policy.windows === undefined ? undefined : windowState(policy.windows, now);
  const closed = window?.open === false ? [{ code: 'window_closed', detail: window.why, until: window.opensAt }] : [];
  const asks = policy.approval?.beforeRollout === true;
  const approval = asks ? [{ code: 'approval', detail: 'the rollout needs an approval before it starts', until: null }] : [];
  return [...blockers, ...closed, ...approval];
}

/** `blocked`: devices that would change but for a blocker other than `offline`. */
function summaryOf(devices: readonly PlannedDevice[], folders: number): PlanSummary {
  const count = (wanted: (device: PlannedDevice) => boolean) => devices.filter(wanted).length;
  return {
    devices: devices.length,
    changed: count(({ change }) => change !== 'unchanged'),
    blocked: count(({ blockers }) => blockers.some((code) => code !== 'offline')),
    invalid: count(({ verdict }) => verdict === 'invalid'),
    unchanged: count(({ change }) => change === 'unchanged'),
    folders,
  };
}
