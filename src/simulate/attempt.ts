import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../errors.ts';
import { type DesiredState, REPORT_GATHER_MS } from '../wire/agent.ts';
import { fateOf, refuses } from './behaviour.ts';
import type { Attempt, Device, Running } from './context.ts';
import { type DeploymentStep, reportSteps, stepOf } from './reports.ts';
import type { Bundle } from './trust.ts';

/** Limit of a heartbeat. */
const MAX_QUARANTINED = 16;

/** `archive`: set if the answer with the desired state has it. */
export type DesiredBundle = NonNullable<DesiredState['bundle']> & { archive?: Buffer | null };

/** Deploys the bundle according to the device's behaviour, and reports each step. A repeated attempt has the same outcome as before. */
export async function attempt(device: Device, desired: DesiredState, deploymentId: string, desiredBundle: DesiredBundle): Promise<void> {
  const begun = device.attempt?.deploymentId === deploymentId ? device.attempt : null;
  if (begun === null && device.quarantined.includes(desiredBundle.digest) && !desired.force)
    return refuse(device, deploymentId, 'quarantined', 'this bundle failed here before');
  const present = begun ?? { deploymentId, number: (device.attempt?.number ?? 0) + 1, before: device.running };
  device.attempt = present;
  if (refuses(device.behaviour, device.id, present.number)) return refuse(device, deploymentId, 'refused', 'simulated refusal');
  const steps = [stepOf(device, 'delivering')];
  const bundle = await download(device, deploymentId, desiredBundle, steps);
  await apply(device, present, bundle, [...steps, stepOf(device, 'applying')]);
}

/** Reports a slow download while it runs. `steps` are empty afterwards. */
async function download(device: Device, deploymentId: string, desiredBundle: DesiredBundle, steps: DeploymentStep[]): Promise<Bundle> {
  let reporting: Promise<unknown> = Promise.resolve();
  const timer = setTimeout(() => {
    reporting = reportSteps(device, deploymentId, steps.splice(0), { ask: device.line.askBeside });
    // The code below awaits it, but it may fail before the download ends.
    reporting.catch(() => undefined);
  }, REPORT_GATHER_MS);
  try {
    return await fetchBundle(device, desiredBundle);
  } finally {
    clearTimeout(timer);
    await reporting;
  }
}

/** The device changes nothing and keeps its bundle. */
async function refuse(device: Device, deploymentId: string, code: string, detail: string): Promise<void> {
  await reportSteps(device, deploymentId, [stepOf(device, 'failed', { code, detail }), stepOf(device, 'rolled_back')]);
}

/** `steps`: the ones that the device has not reported. */
async function apply(device: Device, { deploymentId, number, before }: Attempt, bundle: Bundle, steps: DeploymentStep[]): Promise<void> {
  const { applyMs, failure } = fateOf(device.behaviour, device.id, number, bundle.content);
  if (applyMs > REPORT_GATHER_MS) await reportSteps(device, deploymentId, steps.splice(0));
  if (applyMs > 0) await sleep(applyMs, undefined, { signal: device.signal });
  const rollBackWith = (code: string, detail: string) => rollBack(device, deploymentId, bundle.digest, before, steps, { code, detail });
  if (failure !== null) return rollBackWith('health_check_failed', failure);
  device.running = { digest: bundle.digest, content: bundle.content, isUpdated: before !== null && bundle.digest !== device.before };
  const confirmed = await confirm(device, deploymentId, [...steps, stepOf(device, 'confirming')], bundle.confirmTimeoutMs);
  if (confirmed === 'late')
    return rollBackWith('confirm_timeout', `no confirmation within ${bundle.confirmTimeoutMs / 1000} s of the swap`);
  if (confirmed === 'unwanted') return;
  device.before = before?.digest ?? null;
  device.quarantined = device.quarantined.filter((digest) => digest !== bundle.digest && digest !== before?.digest);
  await reportSteps(device, deploymentId, [stepOf(device, 'succeeded')]);
}

async function rollBack(
  device: Device,
  deploymentId: string,
  digest: string,
  before: Running | null,
  steps: readonly DeploymentStep[],
  why: { code: string; detail: string },
): Promise<void> {
  device.running = before;
  device.quarantined = [...device.quarantined.filter((other) => other !== digest), digest].slice(-MAX_QUARANTINED);
  await reportSteps(device, deploymentId, [...steps, stepOf(device, 'failed', why)]);
  await reportSteps(device, deploymentId, [stepOf(device, 'rolled_back')]);
}

/** `unwanted`: another deployment superseded this one. */
async function confirm(
  device: Device,
  deploymentId: string,
  steps: readonly DeploymentStep[],
  timeoutMs: number,
): Promise<'confirmed' | 'unwanted' | 'late'> {
  const ending = new AbortController();
  const end = () => ending.abort(device.signal.reason);
  const late = new Problem('confirm_timeout', `Cannot confirm "${deploymentId}" in time`);
  const timer = setTimeout(() => ending.abort(late), timeoutMs);
  device.signal.addEventListener('abort', end, { once: true });
  try {
    const confirmed = await reportSteps(device, deploymentId, steps, { signal: ending.signal });
    return confirmed.includes(deploymentId) ? 'confirmed' : 'unwanted';
  } catch (error) {
    if (ending.signal.reason !== late) throw error;
    return 'late';
  } finally {
    clearTimeout(timer);
    device.signal.removeEventListener('abort', end);
  }
}

/** Loads the bundle and verifies its bytes with the digest. */
export async function fetchBundle(device: Device, { digest, url, archive }: DesiredBundle): Promise<Bundle> {
  if (archive != null) return device.trust.archive(digest, archive);
  const { body } = await device.line.ask({ method: 'GET', path: url, signal: device.signal });
  return device.trust.archive(digest, body);
}
