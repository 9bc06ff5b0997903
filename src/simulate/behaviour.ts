import { Problem } from '../errors.ts';
import { sha256Hex } from '../wire/bundle.ts';
import type { Metric } from './metrics.ts';

/**
 * What simulated devices do wrong, and how often. A rate of attempts is drawn anew for each; a share of devices is the same ones every time, chosen by
 * their ids. Both from 0 to 1.
 */
export type Behaviour = {
  /** Of attempts: the health check fails and the device goes back. */
  failRate: number;
  /** Of attempts: the device refuses before it changes anything. */
  refuseRate: number;
  /** How long a device takes to apply a bundle, ms, give or take half. */
  latencyMs: number;
  /** Of attempts: they take `slowMs` longer. */
  slowRate: number;
  slowMs: number;
  /** Of devices: they go away and come back, again and again. Both take `offlineSeconds`, give or take half. */
  offlineRate: number;
  offlineSeconds: number;
  /** Pause between two reports of metrics; 0: none are reported. */
  telemetrySeconds: number;
  /** Of devices: `driftMetric` climbs after an update, until they go back to what they ran before. */
  driftRate: number;
  driftMetric: Metric;
  /** Only while the device runs a bundle one of whose files matches, however it came to it. */
  driftWhen: RegExp | null;
  /** A bundle one of whose files matches fails the health check on `failWhenShare` of the devices. */
  failWhen: RegExp | null;
  failWhenShare: number;
  /** Devices of the same ids and seed do the same in their first attempt, their second and so on. */
  seed: number;
};

/** What a behaviour looks for in the files of a bundle. */
export type Content = { fails: boolean; drifts: boolean };

/** How an attempt goes on a device. `applyMs`: what applying takes; `failure`: why the device is not well afterwards, null when it is. */
export type Fate = { applyMs: number; failure: string | null };

/** @throws Problem `invalid_behaviour` for one that would do nothing of what it asks for */
export function behaviourOf(given: Partial<Behaviour>): Behaviour {
  const { failWhen = null, driftWhen = null } = given;
  const behaviour: Behaviour = {
    ...{ failWhen, driftWhen },
    failRate: given.failRate ?? 0,
    refuseRate: given.refuseRate ?? 0,
    latencyMs: given.latencyMs ?? 0,
    slowRate: given.slowRate ?? 0,
    slowMs: given.slowMs ?? 5_000,
    offlineRate: given.offlineRate ?? 0,
    offlineSeconds: given.offlineSeconds ?? 30,
    telemetrySeconds: given.telemetrySeconds ?? 0,
    driftRate: given.driftRate ?? (driftWhen === null ? 0 : 1),
    driftMetric: given.driftMetric ?? 'error_rate',
    failWhenShare: given.failWhenShare ?? 1,
    seed: given.seed ?? 0,
  };
  if (behaviour.failWhenShare !== 1 && failWhen === null)
    throw new Problem('invalid_behaviour', 'Cannot let a share of the devices fail with what a file holds: say what it holds');
  if (behaviour.driftRate > 0 && behaviour.telemetrySeconds === 0)
    throw new Problem('invalid_behaviour', 'Cannot let metrics drift that nobody reports: telemetry must be every so many seconds, not 0');
  return behaviour;
}

/** Whether the device refuses its `number`-th attempt. Pure. */
export function refuses({ refuseRate, seed }: Behaviour, deviceId: string, number: number): boolean {
  return chance(String(seed), deviceId, 'refuse', String(number)) < refuseRate;
}

/** How the device's `number`-th attempt goes, with a bundle of that content. Pure. */
export function fateOf(behaviour: Behaviour, deviceId: string, number: number, content: Content): Fate {
  const { failRate, latencyMs, slowRate, slowMs, failWhenShare, seed } = behaviour;
  const draw = (what: string) => chance(String(seed), deviceId, what, String(number));
  const applyMs = latencyMs * (0.5 + draw('latency')) + (draw('slow') < slowRate ? slowMs : 0);
  if (content.fails && isChosen(deviceId, 'fail', failWhenShare)) return { applyMs, failure: 'simulated failure: with what a file holds' };
  return { applyMs, failure: draw('fail') < failRate ? 'simulated failure' : null };
}

/** How long the device is there for the `number`-th time, and then away, ms. Null: it stays. Pure. */
export function stayOf(behaviour: Behaviour, deviceId: string, number: number): { hereMs: number; awayMs: number } | null {
  const { offlineRate, offlineSeconds, seed } = behaviour;
  if (!isChosen(deviceId, 'offline', offlineRate)) return null;
  const lastsMs = (what: string) => offlineSeconds * 1000 * (0.5 + chance(String(seed), deviceId, what, String(number)));
  return { hereMs: lastsMs('here'), awayMs: lastsMs('away') };
}

/** Whether the device's metric climbs. `isUpdated`: it got the bundle by an attempt, and not by going back to what it ran before. Pure. */
export function isDrifting(behaviour: Behaviour, deviceId: string, running: { content: Content; isUpdated: boolean }): boolean {
  const isCause = behaviour.driftWhen === null ? running.isUpdated : running.content.drifts;
  return isCause && isChosen(deviceId, 'drift', behaviour.driftRate);
}

/** Whether the device is one of the share that `what` concerns: always the same ones, and of a greater share also those of a smaller. */
function isChosen(deviceId: string, what: string, share: number): boolean {
  return chance(deviceId, what) < share;
}

const CHANCE_DIGITS = 12;

/** A number from 0 to below 1 that follows from the words alone: no other draw and no order of events changes it. */
export function chance(...words: readonly string[]): number {
  return Number.parseInt(sha256Hex(words.join('\0')).slice(0, CHANCE_DIGITS), 16) / 16 ** CHANCE_DIGITS;
}
