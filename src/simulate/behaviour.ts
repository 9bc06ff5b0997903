import { Problem } from '../errors.ts';
import { sha256Hex } from '../wire/bundle.ts';
import type { Metric } from './metrics.ts';

/**
 * Faults of simulated devices and their frequency. A rate applies to each attempt anew. A share always selects the same devices, by their ids.
 * Both are from 0 to 1.
 */
export type Behaviour = {
  /** Rate of attempts whose health check fails, after which the device rolls back. */
  failRate: number;
  /** Rate of attempts that the device refuses before it changes anything. */
  refuseRate: number;
  /** Time in which a device applies a bundle, ms ± 50 %. */
  latencyMs: number;
  /** Rate of attempts that take `slowMs` longer. */
  slowRate: number;
  slowMs: number;
  /** Share of devices that disconnect and reconnect repeatedly. Each phase takes `offlineSeconds` ± 50 %. */
  offlineRate: number;
  offlineSeconds: number;
  /** Pause between two reports of metrics; 0: no reports. */
  telemetrySeconds: number;
  /** Share of devices whose `driftMetric` rises after an update, until they roll back. */
  driftRate: number;
  driftMetric: Metric;
  /** The metric rises only while the device runs a bundle with a matching file, also after a rollback. */
  driftWhen: RegExp | null;
  /** A bundle with a matching file fails the health check on `failWhenShare` of the devices. */
  failWhen: RegExp | null;
  failWhenShare: number;
  /** Devices with the same ids and seed do the same in their first attempt, their second and so on. */
  seed: number;
};

/** Whether the files of a bundle match the patterns of a behaviour. */
export type Content = { fails: boolean; drifts: boolean };

/** Outcome of an attempt on a device. `applyMs`: its duration; `failure`: the reason of a failed health check, null without one. */
export type Fate = { applyMs: number; failure: string | null };

/** @throws Problem `invalid_behaviour` for settings without an effect */
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
    throw new Problem('invalid_behaviour', 'Cannot use a share of failing devices without a pattern: set the pattern of the failing files');
  if (behaviour.driftRate > 0 && behaviour.telemetrySeconds === 0)
    throw new Problem(
      'invalid_behaviour',
      'Cannot let metrics drift that no device reports: the seconds between two reports must be more than 0',
    );
  return behaviour;
}

/** Whether the device refuses its `number`-th attempt. Pure. */
export function refuses({ refuseRate, seed }: Behaviour, deviceId: string, number: number): boolean {
  return chance(String(seed), deviceId, 'refuse', String(number)) < refuseRate;
}

/** Outcome of the device's `number`-th attempt with a bundle of that content. Pure. */
export function fateOf(behaviour: Behaviour, deviceId: string, number: number, content: Content): Fate {
  const { failRate, latencyMs, slowRate, slowMs, failWhenShare, seed } = behaviour;
  const draw = (what: string) => chance(String(seed), deviceId, what, String(number));
  const applyMs = latencyMs * (0.5 + draw('latency')) + (draw('slow') < slowRate ? slowMs : 0);
  if (content.fails && isChosen(deviceId, 'fail', failWhenShare)) return { applyMs, failure: 'simulated failure: a file matches' };
  return { applyMs, failure: draw('fail') < failRate ? 'simulated failure' : null };
}

/** Duration of the device's `number`-th phase online and then offline, ms. Null: it stays online. Pure. */
export function presenceOf(behaviour: Behaviour, deviceId: string, number: number): { onlineMs: number; offlineMs: number } | null {
  const { offlineRate, offlineSeconds, seed } = behaviour;
  if (!isChosen(deviceId, 'offline', offlineRate)) return null;
  const lastsMs = (what: string) => offlineSeconds * 1000 * (0.5 + chance(String(seed), deviceId, what, String(number)));
  return { onlineMs: lastsMs('here'), offlineMs: lastsMs('away') };
}

/** Whether the device's metric rises. `isUpdated`: an attempt deployed the bundle, and no rollback. Pure. */
export function isDrifting(behaviour: Behaviour, deviceId: string, running: { content: Content; isUpdated: boolean }): boolean {
  const isCause = behaviour.driftWhen === null ? running.isUpdated : running.content.drifts;
  return isCause && isChosen(deviceId, 'drift', behaviour.driftRate);
}

/** Whether the device is in the share for `what`. The selection is stable, and a larger share contains the smaller ones. */
function isChosen(deviceId: string, what: string, share: number): boolean {
  return chance(deviceId, what) < share;
}

const CHANCE_DIGITS = 12;

/** A number from 0 to below 1 that depends on the words only, not on other draws or the order of events. */
export function chance(...words: readonly string[]): number {
  return Number.parseInt(sha256Hex(words.join('\0')).slice(0, CHANCE_DIGITS), 16) / 16 ** CHANCE_DIGITS;
}
