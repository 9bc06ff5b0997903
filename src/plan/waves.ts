import { amountOf, isNaming, type RolloutPolicy, shareOf, type Wave, waveCount } from '../policy/policy.ts';
import { takesAway } from '../rollout/decide/capacity.ts';

/** A device that the rollout may change, with the facts that decide its wave. */
export type Candidate = {
  id: string;
  labels: Readonly<Record<string, string>>;
  siteId: string | null;
  /** It is online, or it receives bundles by push. */
  reachable: boolean;
};

/** The wave of each device, and the number of quarantined devices in each wave. */
export type Assignment = { waves: Map<string, number>; quarantined: number[] };

/**
 * Computes the wave of each device if all attempts succeed and nothing else changes. It predicts the steps of `targets.ts` and `plan.ts` of rollouts.
 * A device in no wave is offline and must come online first. Pure.
 * @param quarantined devices that the rollout would count as failed without an attempt; they fill the places of a share first
 */
export function assignWaves(policy: RolloutPolicy, devices: readonly Candidate[], quarantined: readonly Candidate[] = []): Assignment {
  const assigned = new Map<string, number>();
  const ordered = devices.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const named = (policy.waves ?? []).map(namesOf);
  const own = quarantined.map((device) => named.findIndex((names) => names?.has(device) === true));
  const size = devices.length + quarantined.length;
  const failed: number[] = [];
  let unnamed = own.filter((wave) => wave === -1).length;
  for (let wave = 0; wave < waveCount(policy); wave++) {
    const mine = ordered.filter((device) => !assigned.has(device.id) && isInWave(named, device, wave));
    const takeAway = takesAway(policy, wave);
    const candidates = mine.filter((device) => device.reachable || takeAway);
    const before = assigned.size + failed.reduce((sum, count) => sum + count, 0);
    const places = quotaOf(policy.waves?.[wave], size, before);
    const here = isNaming(policy, wave) ? own.filter((index) => index === wave).length : Math.min(unnamed, places);
    if (!isNaming(policy, wave)) unnamed -= here;
    failed.push(here);
    const quota = Math.min(candidates.length, Math.max(0, places - here));
    for (const { id } of firstOf(policy, candidates, quota, size)) assigned.set(id, wave);
  }
  return { waves: assigned, quarantined: failed };
}

type Names = { has(device: Candidate): boolean } | undefined;

/** undefined: the wave takes any device. */
export function namesOf({ devices, selector }: Wave): Names {
  if (devices !== undefined) {
    const ids = new Set(devices);
    return { has: ({ id }) => ids.has(id) };
  }
  if (selector === undefined) return undefined;
  const wanted = Object.entries(selector);
  return { has: ({ labels }) => wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value) };
}

/** The same condition as `inWave` of rollouts, which is in SQL. */
function isInWave(named: readonly Names[], device: Candidate, wave: number): boolean {
  const isNamed = (names: readonly Names[]) => names.some((name) => name?.has(device) === true);
  return named[wave] === undefined ? !isNamed(named.slice(wave + 1)) : isNamed(named.slice(0, wave + 1));
}

function quotaOf(wave: Wave | undefined, size: number, taken: number): number {
  if (wave?.count !== undefined) return wave.count;
  if (wave?.upToPercent !== undefined) return Math.max(0, shareOf(wave.upToPercent, size) - taken);
  return Number.POSITIVE_INFINITY;
}

/**
 * Picks the first devices by id. With a limit per site, the first devices of the other sites precede the rest of one site. It assumes that all
 * devices need the same time.
 */
function firstOf(policy: RolloutPolicy, candidates: readonly Candidate[], quota: number, size: number): readonly Candidate[] {
  const perSite = policy.maxParallelPerSite;
  if (perSite === undefined || quota === candidates.length) return candidates.slice(0, quota);
  const unavailable = policy.maxUnavailable === undefined ? Number.POSITIVE_INFINITY : Math.max(1, amountOf(policy.maxUnavailable, size));
  const atOnce = Math.min(policy.maxParallel ?? Number.POSITIVE_INFINITY, unavailable);
  const taken: Candidate[] = [];
  let left = candidates;
  while (taken.length < quota) {
    const turn = turnOf(left, perSite).slice(0, Math.min(atOnce, quota - taken.length));
    taken.push(...turn);
    const gone = new Set(turn);
    left = left.filter((device) => !gone.has(device));
  }
  return taken;
}

/** Picks at most `perSite` devices of each site. */
function turnOf(devices: readonly Candidate[], perSite: number): Candidate[] {
  const counts = new Map<string, number>();
  return devices.filter(({ siteId }) => {
    if (siteId === null) return true;
    const before = counts.get(siteId) ?? 0;
    counts.set(siteId, before + 1);
    return before < perSite;
  });
}
