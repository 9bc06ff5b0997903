import { setTimeout as sleep } from 'node:timers/promises';
import { backoff } from '../async/backoff.ts';
import { messageOf, retryOf } from '../errors.ts';
import { newId } from '../ids.ts';
import { type DeviceDeploymentState, type Report, ReportsResponse } from '../wire/agent.ts';
import { parseAnswer } from './connection.ts';
import type { Device } from './context.ts';
import type { Line } from './line.ts';

type NewReport = Report extends infer Kind ? (Kind extends Report ? Omit<Kind, 'id' | 'at'> & { at?: string } : never) : never;
/** `at`, `runningDigest`: the time of the step and the bundle at that time. The device may report it later. */
export type DeploymentStep = { state: DeviceDeploymentState; at: string; runningDigest: string | null; code?: string; detail?: string };

const RETRY_MS = { base: 1_000, cap: 30_000 };
const MAX_TRIES = 8;

type SendOptions = { ask?: Line['ask']; signal?: AbortSignal };

/**
 * Repeats the request, with the same ids, until the service accepts the reports.
 * @returns the deployments that the service confirms @throws Problem of the last try; the signal's reason
 */
export async function report(device: Device, reports: readonly NewReport[], options: SendOptions = {}): Promise<string[]> {
  const { ask = device.line.ask, signal = device.signal } = options;
  const at = new Date().toISOString();
  const body = JSON.stringify({ reports: reports.map((entry) => ({ id: newId(), at, ...entry })) });
  const headers = { 'content-type': 'application/json' };
  for (let tries = 1; ; tries++) {
    try {
      return parseAnswer(ReportsResponse, await ask({ method: 'POST', path: 'reports', headers, body, signal })).confirmed;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (retryOf(error) === 'never' || tries === MAX_TRIES) throw error;
      device.onState({ kind: 'trouble', deviceId: device.id, problem: messageOf(error) });
      await sleep(pauseMs(tries), undefined, { signal });
    }
  }
}

export function stepOf(device: Device, state: DeviceDeploymentState, why: { code?: string; detail?: string } = {}): DeploymentStep {
  return { state, at: new Date().toISOString(), runningDigest: device.running?.digest ?? null, ...why };
}

/** Reports the steps of one attempt in one request. @returns and @throws as `report` */
export async function reportSteps(
  device: Device,
  deploymentId: string,
  steps: readonly DeploymentStep[],
  options: SendOptions = {},
): Promise<string[]> {
  const reports = steps.map((step) => ({ kind: 'deployment' as const, deploymentId, ...step }));
  const confirmed = await report(device, reports, options);
  for (const { state, code } of steps) device.onState({ kind: 'deployment', deviceId: device.id, deploymentId, state, code });
  return confirmed;
}

/** Pause before the next try, after `tries` failures. */
export function pauseMs(tries: number): number {
  return backoff(RETRY_MS, tries);
}
