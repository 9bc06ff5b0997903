import { distance } from 'fastest-levenshtein';
import { gateOf, isNaming, type RolloutPolicy, shareOf, waveName } from '../../policy/policy.ts';
import { configError } from '../../revision/config-error.ts';
import type { ConfigError, RolloutPlace } from '../../revision/revision.ts';

/** A device to compare the waves of a policy with. */
export type KnownDevice = { id: string; labels: Readonly<Record<string, string>> };

export const WARNING_CODES = ['empty_wave', 'min_succeeded'] as const;

/** A probable mistake in a policy. `line`: in the repository; null for a policy of the source's settings. */
export type PolicyWarning = { code: (typeof WARNING_CODES)[number]; file: string; line: number | null; pointer: string; detail: string };

export type WaveCheck = { errors: ConfigError[]; warnings: PolicyWarning[] };

/**
 * Compares a policy with the known devices. A wave that names an unknown device is an error. A wave without devices is a warning, and so is a gate that
 * requires more successes than its wave has devices. Pure.
 * @param place the policy's file and lines; null: the source's settings
 */
export function checkWaves(policy: RolloutPolicy, place: RolloutPlace | null, devices: readonly KnownDevice[]): WaveCheck {
  const ids = new Set(devices.map(({ id }) => id));
  const sizes = sizesOf(policy, devices);
  const check: WaveCheck = { errors: [], warnings: [] };
  for (const [wave, { devices: named = [] }] of (policy.waves ?? []).entries()) {
    const at = placeOf(place, wave);
    for (const [position, id] of named.entries())
      if (!ids.has(id))
        check.errors.push(unknownDevice(id, ids, { ...at, line: place?.waves[wave]?.devices[position] ?? at.line, position }));
    const size = sizes[wave] ?? 0;
    const warn = (code: PolicyWarning['code'], detail: string) =>
      check.warnings.push({ code, ...at, line: at.line ?? null, detail: `wave "${waveName(policy, wave)}" ${detail}` });
    if (size === 0) warn('empty_wave', `${emptiness(policy, wave)}: a rollout would stop there and wait for an operator`);
    const { minSucceeded = 0 } = gateOf(policy, wave);
    if (size > 0 && minSucceeded > size)
      warn(
        'min_succeeded',
        `has ${size} ${size === 1 ? 'device' : 'devices'}, and its gate requires ${minSucceeded} successes: it can never pass`,
      );
  }
  return check;
}

function placeOf(place: RolloutPlace | null, wave: number): { file: string; line: number | undefined; pointer: string } {
  if (place === null) return { file: '', line: undefined, pointer: `/rolloutPolicy/waves/${wave}` };
  return { file: place.file, line: place.waves[wave]?.line, pointer: `/rollout/waves/${wave}` };
}

function emptiness(policy: RolloutPolicy, wave: number): string {
  const { devices, selector } = policy.waves?.[wave] ?? {};
  if (selector !== undefined) return `selects ${JSON.stringify(selector)}, which no device has`;
  return devices === undefined ? 'has no devices, since other waves name all of them' : 'names no known device';
}

/** The maximum number of devices of each wave. */
function sizesOf(policy: RolloutPolicy, devices: readonly KnownDevice[]): number[] {
  const waves = policy.waves ?? [];
  const names = waves.map(({ devices: ids, selector }) => {
    const listed = new Set(ids);
    const wanted = Object.entries(selector ?? {});
    return ({ id, labels }: KnownDevice) =>
      ids !== undefined ? listed.has(id) : wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
  });
  return waves.map(({ count, upToPercent }, wave) => {
    if (isNaming(policy, wave)) return devices.filter((device) => names[wave]?.(device)).length;
    const open = devices.filter((device) => !names.some((named, later) => later > wave && isNaming(policy, later) && named(device))).length;
    return Math.min(open, count ?? shareOf(upToPercent ?? 100, devices.length));
  });
}

/** Number of similar ids to suggest. */
const NEAREST = 3;

function unknownDevice(
  id: string,
  known: ReadonlySet<string>,
  { file, line, pointer, position }: { file: string; line: number | undefined; pointer: string; position: number },
): ConfigError {
  const ranked = [...known]
    .map((other) => ({ other, far: distance(id, other) }))
    .sort((a, b) => a.far - b.far || (a.other < b.other ? -1 : 1));
  const near = ranked.filter(({ far }) => far <= Math.max(2, id.length / 2)).slice(0, NEAREST);
  const shown = near.map(({ other }) => JSON.stringify(other)).join(', ');
  const hint = near.length === 0 ? '' : `; the nearest known ${near.length === 1 ? 'id is' : 'ids are'} ${shown}`;
  return configError({
    code: 'rollout',
    file,
    line,
    pointer: `${pointer}/devices/${position}`,
    rule: 'unknown_device',
    actual: id,
    detail: `is ${JSON.stringify(id)}, which is no known device of this source${hint}`,
  });
}
