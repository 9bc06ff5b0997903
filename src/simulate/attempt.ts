import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../errors.ts';
import { type DesiredState, REPORT_GATHER_MS } from '../wire/agent.ts';
import { fateOf, refuses } from './behaviour.ts';
import type { Attempt, Device, Running } from './context.ts';
import { type DeploymentStep, reportSteps, stepOf } from './reports.ts';
import type { Bundle } from './trust.ts';

/** As many as a heartbeat may name. */
const MAX_QUARANTINED = 16;

/** `archive`: where it came along. */
export type Told = NonNullable<DesiredState['bundle']> & { archive?: Buffer | null };

/** Brings the device to the bundle, as its behaviour has it, and reports each step. Begun again after trouble, the attempt goes as it went before. */
export async function attempt(device: Device, desired: DesiredState, deploymentId: string, told: Told): Promise<void> {
  const begun = device.attempt?.deploymentId === deploymentId ? device.attempt : null;
  if (begun === null && device.quarantined.includes(told.digest) && !desired.force)
    return refuse(device, deploymentId, 'quarantined', 'this bundle failed here before');
  const present = begun ?? { deploymentId, number: (device.attempt?.number ?? 0) + 1, before: device.running };
  device.attempt = present;
  if (refuses(device.behaviour, device.id, present.number)) return refuse(device, deploymentId, 'refused', 'simulated refusal');
  const steps = [stepOf(device, 'delivering')];
  const bundle = await download(device, deploymentId, told, steps);
  await apply(device, present, bundle, [...steps, stepOf(device, 'applying')]);
}

/** A download that takes a while is told of meanwhile, and `steps` are empty then. */
async function download(device: Device, deploymentId: string, told: Told, steps: DeploymentStep[]): Promise<Bundle> {
  let telling: Promise<unknown> = Promise.resolve();
  const timer = setTimeout(() => {
    telling = reportSteps(device, deploymentId, steps.splice(0), { ask: device.line.askBeside });
    // Awaited below; it may fail before the download ends.
    telling.catch(() => undefined);
  }, REPORT_GATHER_MS);
  try {
    return await fetchBundle(device, told);
  } finally {
    clearTimeout(timer);
    await telling;
  }
}

/** Nothing was changed: what ran goes on running. */
async function refuse(device: Device, deploymentId: string, code: string, detail: string): Promise<void> {
  await reportSteps(device, deploymentId, [stepOf(device, 'failed', { code, detail }), stepOf(device, 'rolled_back')]);
}

/** `steps`: those that the service has not been told of. */
async function apply(device: Device, { deploymentId, number, before }: Attempt, bundle: Bundle, steps: DeploymentStep[]): Promise<void> {
  const { applyMs, failure } = fateOf(device.behaviour, device.id, number, bundle.content);
  if (applyMs > REPORT_GATHER_MS) await reportSteps(device, deploymentId, steps.splice(0));
  if (applyMs > 0) await sleep(applyMs, undefined, { signal: device.signal });
  const wayBack = (code: string, detail: string) => goBack(device, deploymentId, bundle.digest, before, steps, { code, detail });
  if (failure !== null) return wayBack('health_check_failed', failure);
  device.running = { digest: bundle.digest, content: bundle.content, isUpdated: before !== null && bundle.digest !== device.before };
  const confirmed = await confirm(device, deploymentId, [...steps, stepOf(device, 'confirming')], bundle.confirmTimeoutMs);
  if (confirmed === 'late') return wayBack('confirm_timeout', `no confirmation within ${bundle.confirmTimeoutMs / 1000} s of the swap`);
  if (confirmed === 'unwanted') return;
  device.before = before?.digest ?? null;
  device.quarantined = device.quarantined.filter((digest) => digest !== bundle.digest && digest !== before?.digest);
  await reportSteps(device, deploymentId, [stepOf(device, 'succeeded')]);
}

async function goBack(
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

/** `unwanted`: the service has something else in mind by now. */
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

/** Its bytes are verified to be those of the digest. */
export async function fetchBundle(device: Device, { digest, url, archive }: Told): Promise<Bundle> {
  if (archive != null) return device.trust.archive(digest, archive);
  const { body } = await device.line.ask({ method: 'GET', path: url, signal: device.signal });
  return device.trust.archive(digest, body);
}
