import { isQuarantined, ownWave } from './bystanders.ts';
import { inWave, isEligible, type Model, underWayAt } from './model.ts';
import { answers, type Device, isUnavailable, newest, outcome, SECOND } from './world.ts';

export function demand(holds: boolean, law: string): asserts holds {
  if (!holds) throw new Error(law);
}

/** The number of devices that may start now, counted from the devices. */
export type Allowance = { perMinute: number; unavailable: number; devices: number };

export function allowance(model: Model, wave: number): Allowance {
  const { reachable, away } = left(model, wave);
  return { perMinute: ratePerMinute(model), unavailable: allowedUnavailable(model), devices: reachable + away };
}

/** Checks the limits after devices were started. @param allowed computed before the start */
export function checkStarts(model: Model, started: readonly Device[], allowed: Allowance): void {
  if (started.length === 0) return;
  demand(started.length <= allowed.devices, `${started.length} are started, the wave may take ${allowed.devices}`);
  const { policy, world } = model;
  const open = world.devices.filter((device) => outcome(device) === 'open').length;
  const unavailable = open + world.devices.filter(isUnavailable).length;
  demand(unavailable <= allowed.unavailable, `${unavailable} are unavailable, ${allowed.unavailable} are allowed`);
  demand(open <= (policy.maxParallel ?? open), `${open} are under way, ${policy.maxParallel} are allowed`);
  for (const { site } of started) {
    const there = underWayAt(model, site);
    demand(site === null || there <= (policy.maxParallelPerSite ?? there), `${there} are under way in the ${site}`);
  }
  const recent = model.starts.filter(({ at }) => at > world.now - 60 * SECOND).length;
  demand(recent <= allowed.perMinute, `${recent} were started within a minute, ${allowed.perMinute} are allowed`);
  for (const device of started) checkFirst(device);
}

/** Apart from retries, a device has one attempt, unless that was cancelled or superseded. */
function checkFirst({ id, attempts }: Device): void {
  const before = attempts.at(-2);
  const isFree = before === undefined || !before.inRollout || before.state === 'superseded' || before.state === 'cancelled';
  demand(isFree, `${id} is started again, after it was ${before?.state}`);
}

function ratePerMinute({ policy: { rate }, world }: Model): number {
  if (rate === undefined) return Number.POSITIVE_INFINITY;
  const succeeded = world.devices.filter((device) => outcome(device) === 'succeeded').length;
  let perMinute = rate.perMinute;
  for (let more = succeeded; more >= rate.increaseAfterSuccesses; more -= rate.increaseAfterSuccesses) perMinute *= rate.factor;
  return Math.floor(Math.min(perMinute, rate.maxPerMinute ?? perMinute));
}

export function allowedUnavailable(model: Model): number {
  const { maxUnavailable } = model.policy;
  if (maxUnavailable === undefined) return Number.POSITIVE_INFINITY;
  const allowed =
    typeof maxUnavailable === 'number' ? maxUnavailable : Math.floor((Number.parseInt(maxUnavailable, 10) * size(model)) / 100);
  return Math.max(1, allowed);
}

/** Counts started, eligible and quarantined devices. A device that got another bundle after its turn counts as started and as eligible. */
function size(model: Model): number {
  const { devices } = model.world;
  const count = (which: (device: Device) => boolean) => devices.filter(which).length;
  return count(isTaken) + count((device) => isEligible(model, device)) + count((device) => isQuarantined(model, device));
}

export function isTaken(device: Device): boolean {
  return outcome(device) !== 'none' && outcome(device) !== 'gone';
}

/** How many more devices the wave may take. */
export function placesLeft(model: Model, wave: number): number {
  return Math.max(0, room(model, wave) - inQuarantine(model, wave));
}

/** Free places of the wave, before quarantined devices fill them. */
function room(model: Model, wave: number): number {
  const { count, upToPercent } = model.policy.waves?.[wave] ?? {};
  const taken = model.world.devices.filter(isTaken);
  const here = taken.filter((device) => newest(device)?.wave === wave).length;
  if (count !== undefined) return Math.max(0, count - here);
  if (upToPercent === undefined) return Number.POSITIVE_INFINITY;
  const before = taken.filter((device) => (newest(device)?.wave ?? 0) < wave).length;
  const quarantined = [...Array(wave).keys()].reduce((sum, earlier) => sum + inQuarantine(model, earlier), 0);
  return Math.max(0, Math.ceil((upToPercent * size(model)) / 100) - before - quarantined - here);
}

/** Quarantined devices that count as failed in the wave: those that it is the first to name, or unnamed ones that earlier waves left. */
export function inQuarantine(model: Model, wave: number): number {
  const all = model.world.devices.filter((device) => isQuarantined(model, device));
  if (all.length === 0) return 0;
  const { devices, selector } = model.policy.waves?.[wave] ?? {};
  if (devices !== undefined || selector !== undefined) return all.filter((device) => ownWave(model, device) === wave).length;
  let left = all.filter((device) => ownWave(model, device) === -1).length;
  for (let earlier = 0; earlier < wave; earlier++) {
    const { devices: ids, selector: labels } = model.policy.waves?.[earlier] ?? {};
    if (ids === undefined && labels === undefined) left -= inQuarantine(model, earlier);
  }
  return Math.min(left, room(model, wave));
}

/** Devices that the wave could still take, online and offline. */
export function left(model: Model, wave: number): { reachable: number; away: number } {
  const mine = model.world.devices.filter((device) => isEligible(model, device) && inWave(model, device, wave));
  const reachable = mine.filter(answers).length;
  const limit = placesLeft(model, wave);
  return { reachable: Math.min(limit, reachable), away: Math.min(limit, mine.length - reachable) };
}
