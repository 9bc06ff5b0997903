import { bakeSecondsOf, type RolloutPolicy, waveCount, waveName } from '../policy/policy.ts';
import { windowState } from '../policy/windows.ts';
import type { ConfigError } from '../revision/revision.ts';
import type { OutReason } from '../rollout/decide/snapshot.ts';
import type { Waiting } from '../rollout/rollout.ts';
import { forecast, type Member } from './forecast.ts';
import { type Assignment, assignWaves } from './waves.ts';

export type PlanVerdict = 'valid' | 'partial' | 'invalid';
export type FolderVerdict = 'valid' | 'invalid' | 'missing';

/** A device that is bound to the source, and what keeps it where it is. */
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
  /** What it reports, else what it last confirmed. */
  runningBundle: string | null;
  quarantinedBundle: string | null;
};

/** A device folder, as it is now and as the planned commit makes it. */
export type PlanFolder = {
  path: string;
  /** What devices are to run now. */
  released: string | null;
  /** The last bundle that was valid; goes out with the next rollout. */
  candidate: string | null;
  /** The last completed rollout brought its devices what it holds. */
  isReleased: boolean;
  /** Of the prepared head; null: it has no such folder. */
  before: { verdict: FolderVerdict; messages: readonly string[] } | null;
  after: { verdict: FolderVerdict; bundle: string | null; errors: readonly ConfigError[] };
};

export type PlanFacts = {
  layout: 'repo' | 'fleet';
  allOrNothing: boolean;
  /** Of the commit as a whole. */
  errors: readonly ConfigError[];
  folders: readonly PlanFolder[];
  devices: readonly PlanDevice[];
  policy: RolloutPolicy;
  /** Holds and sources that must come first. */
  blockers: readonly PlanBlocker[];
};

/** `until`: when it ends by itself. */
export type PlanBlocker = { code: string; detail: string; until: Date | null };

export const DEVICE_BLOCKERS = ['held', 'site_held', 'offline', 'stopped', 'quarantined', 'validation'] as const;
export type DeviceBlocker = (typeof DEVICE_BLOCKERS)[number];
export type DeviceChange = 'changed' | 'added' | 'removed' | 'unchanged';

export type PlannedDevice = {
  id: string;
  path: string;
  change: DeviceChange;
  verdict: FolderVerdict;
  /** null: no wave takes it as things are. */
  wave: number | null;
  blockers: DeviceBlocker[];
  /** What it runs and what it would run; the same when it does not change. */
  from: string | null;
  to: string | null;
};

/** `stop`: why the rollout would stop at the wave, or end there. */
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
  /** Folders whose errors the commit brings: those that are invalid and were not so, for the same reasons, before. */
  faulty: PlanFolder[];
  devices: PlannedDevice[];
  waves: PlannedWave[];
  blockers: PlanBlocker[];
  summary: PlanSummary;
};

/** What would become of every device if the commit became the source's head. Pure. */
export function outline(facts: PlanFacts, now: Date): Outline {
  const verdict = verdictOf(facts);
  const targets = new Map(facts.folders.map((folder) => [folder.path, targetOf(folder, verdict)]));
  const byPath = new Map(facts.folders.map((folder) => [folder.path, folder]));
  const isReleased = (folder: PlanFolder) => targets.get(folder.path) !== folder.released;
  // A commit that changes no folder starts no rollout, whoever is not up to date.
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

/** Whether whoever proposed the commit must change it. */
export function isRefused({ verdict, errors }: { verdict: PlanVerdict; errors: readonly unknown[] }): boolean {
  return verdict === 'invalid' || errors.length > 0;
}

/** As the controller judges a revision: what is invalid in a fleet holds up its own devices only, unless the source wants all or nothing. */
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

/** The bundle that devices of the folder would be told to run: of what is invalid or gone the last that was good. */
function targetOf({ after, candidate, released }: PlanFolder, verdict: PlanVerdict): string | null {
  if (verdict === 'invalid') return released;
  return after.verdict === 'valid' ? after.bundle : candidate;
}

/** `changed`: the folder holds something else than the last completed rollout established. */
type FolderOutcome = { to: string | null; starts: boolean; released: boolean; changed: boolean; refused: boolean };
type Judged = {
  device: PlanDevice;
  planned: Omit<PlannedDevice, 'wave'>;
  isEligible: boolean;
  /** It counts as failed, without an attempt. */
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

/** Why the device does not give its wave a success; null: it runs what it is to run. */
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
  const approval = asks ? [{ code: 'approval', detail: 'somebody must approve it before it begins', until: null }] : [];
  return [...blockers, ...closed, ...approval];
}

/** `blocked`: would change and does not, for whatever reason but being away. */
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
