import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, Problem } from '../errors.ts';
import { newId } from '../ids.ts';
import { type DesiredState, type DeviceDeploymentState, type Report, ReportsResponse, SigningKeysResponse } from '../wire/agent.ts';
import { type Answer, type Ask, type Connections, parseAnswer } from './connection.ts';
import type { Pinned, Trust } from './trust.ts';

export type DeviceKey = { id: string; apiKey: string };

/** What became of a simulated device. A `deployment` step is told once the service has taken the report of it. */
export type SimulationEvent =
  /** Its first poll was answered. */
  | { kind: 'ready'; deviceId: string }
  | { kind: 'deployment'; deviceId: string; deploymentId: string; state: DeviceDeploymentState }
  /** A request failed; it is made again after a while. */
  | { kind: 'trouble'; deviceId: string; problem: string };

export type DeviceOptions = {
  connections: Connections;
  trust: Trust;
  /** Share of the attempts, 0 to 1, whose health check fails. */
  failRate: number;
  /** How long a device takes to apply a bundle, ms. */
  latencyMs: number;
  onState(event: SimulationEvent): void;
};

const WAIT_SECONDS = 55;
const AGENT_VERSION = 'simulated';
const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 30_000;
/** As many as a heartbeat may name. */
const MAX_QUARANTINED = 16;

type NewReport = Report extends infer Kind ? (Kind extends Report ? Omit<Kind, 'id' | 'at'> : never) : never;
type DeploymentStep = { state: DeviceDeploymentState; code?: string; detail?: string };

type Device = DeviceOptions & {
  id: string;
  identity: Record<string, string>;
  own: ReturnType<Connections['open']>;
  signal: AbortSignal;
  pinned: Pinned | null;
  etag: string | undefined;
  sequence: number;
  running: string | null;
  quarantined: string[];
  /** Attempts and commands that are done with. */
  finished: string | null;
  obeyed: Set<string>;
  heartbeatMs: number;
  ready: boolean;
};

/** Polls, applies and reports as the device `key.id` until the signal fires; what fails is tried again with growing pauses. Keeps nothing on disk. */
export async function runDevice(key: DeviceKey, options: DeviceOptions, signal: AbortSignal): Promise<void> {
  const device: Device = {
    ...options,
    id: key.id,
    identity: { 'x-device-id': key.id, 'x-api-key': key.apiKey },
    own: options.connections.open(),
    signal,
    ...{
      pinned: null,
      etag: undefined,
      sequence: 0,
      running: null,
      quarantined: [],
      finished: null,
      obeyed: new Set(),
      heartbeatMs: 30_000,
      ready: false,
    },
  };
  try {
    await Promise.all([persist(device, () => turn(device)), beat(device)]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await device.own.close();
  }
}

/** Repeats `work`; after a failure it pauses, longer each time. */
async function persist(device: Device, work: () => Promise<void>): Promise<void> {
  for (let failures = 0; !device.signal.aborted; ) {
    try {
      await work();
      failures = 0;
    } catch (error) {
      if (device.signal.aborted) return;
      device.onState({ kind: 'trouble', deviceId: device.id, problem: messageOf(error) });
      const askedMs = error instanceof Problem ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
      const pauseMs = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** failures) * (0.5 + Math.random() / 2);
      await sleep(Math.max(askedMs, pauseMs), undefined, { signal: device.signal });
      failures += 1;
    }
  }
}

/** One poll and what it asks for. */
async function turn(device: Device): Promise<void> {
  device.pinned ??= parseAnswer(SigningKeysResponse, await ask(device, { method: 'GET', path: 'keys' }));
  const headers: Record<string, string> = device.etag === undefined ? {} : { 'if-none-match': device.etag };
  // The first poll is answered at once, so that a device is known to be there.
  const answer = await ask(device, { method: 'GET', path: `desired?wait=${device.ready ? WAIT_SECONDS : 0}`, headers });
  if (answer.status !== 304) await obey(device, answer, device.pinned);
  if (device.ready) return;
  device.ready = true;
  device.onState({ kind: 'ready', deviceId: device.id });
}

async function obey(device: Device, answer: Answer, pinned: Pinned): Promise<void> {
  const { id: deviceId, sequence } = device;
  const desired = await device.trust.desired(answer.body.toString('utf8').trim(), { ...pinned, deviceId, sequence, now: new Date() });
  device.sequence = desired.sequence;
  device.heartbeatMs = desired.heartbeatSeconds * 1000;
  await answerCommands(device, desired);
  if (desired.bundle !== null && desired.deploymentId === null) await adopt(device, desired.bundle);
  if (desired.bundle !== null && desired.deploymentId !== null && desired.deploymentId !== device.finished) {
    await deploy(device, desired, desired.deploymentId, desired.bundle);
    device.finished = desired.deploymentId;
  }
  // Last: what failed on the way is told again by the next poll.
  device.etag = answer.etag;
}

/** After a start the device holds nothing: it takes back what the service knows it to run. */
async function adopt(device: Device, bundle: { digest: string; url: string }): Promise<void> {
  if (device.running === bundle.digest) return;
  if (device.running === null) await fetchBundle(device, bundle);
  device.running = bundle.digest;
}

async function deploy(device: Device, desired: DesiredState, deploymentId: string, bundle: { digest: string; url: string }): Promise<void> {
  const steps = (...taken: DeploymentStep[]) => reportSteps(device, deploymentId, taken);
  const before = device.running;
  if (device.quarantined.includes(bundle.digest) && !desired.force) {
    await steps({ state: 'failed', code: 'quarantined', detail: 'this bundle failed here before' }, { state: 'rolled_back' });
    return;
  }
  await steps({ state: 'delivering' });
  await fetchBundle(device, bundle);
  if (device.latencyMs > 0) await sleep(device.latencyMs * (0.5 + Math.random()), undefined, { signal: device.signal });
  if (Math.random() < device.failRate) {
    device.quarantined = [...device.quarantined, bundle.digest].slice(-MAX_QUARANTINED);
    await steps({ state: 'applying' }, { state: 'failed', code: 'health_check_failed', detail: 'simulated failure' });
    await steps({ state: 'rolled_back' });
    return;
  }
  device.running = bundle.digest;
  const confirmed = await steps({ state: 'applying' }, { state: 'confirming' });
  if (!confirmed.includes(deploymentId)) return;
  device.quarantined = device.quarantined.filter((digest) => digest !== bundle.digest && digest !== before);
  await steps({ state: 'succeeded' });
}

async function fetchBundle(device: Device, bundle: { digest: string; url: string }): Promise<void> {
  const { body } = await ask(device, { method: 'GET', path: bundle.url });
  await device.trust.archive(bundle.digest, body);
}

async function answerCommands(device: Device, desired: DesiredState): Promise<void> {
  const fresh = desired.commands.filter((command) => !device.obeyed.has(command.id));
  if (fresh.length > 0) {
    const result = { simulated: true };
    await report(
      device,
      fresh.map((command) => ({ kind: 'command', commandId: command.id, state: 'completed', result })),
    );
  }
  device.obeyed = new Set(desired.commands.map((command) => command.id));
}

/** @returns the deployments that the service confirms */
async function reportSteps(device: Device, deploymentId: string, steps: readonly DeploymentStep[]): Promise<string[]> {
  const runningDigest = device.running;
  const confirmed = await report(
    device,
    steps.map((step) => ({ kind: 'deployment', deploymentId, runningDigest, ...step })),
  );
  for (const { state } of steps) device.onState({ kind: 'deployment', deviceId: device.id, deploymentId, state });
  return confirmed;
}

/** Sends until the service has taken them: the same reports under the same ids. */
async function report(device: Device, reports: readonly NewReport[], through: Pick<Connections, 'ask'> = device.own): Promise<string[]> {
  const at = new Date().toISOString();
  const body = JSON.stringify({ reports: reports.map((entry) => ({ id: newId(), at, ...entry })) });
  for (let tries = 1; ; tries++) {
    try {
      const headers = { 'content-type': 'application/json' };
      return parseAnswer(ReportsResponse, await ask(device, { method: 'POST', path: 'reports', headers, body }, through)).confirmed;
    } catch (error) {
      if (device.signal.aborted || (error instanceof Problem && error.retry === 'never') || tries === 8) throw error;
      device.onState({ kind: 'trouble', deviceId: device.id, problem: messageOf(error) });
      await sleep(Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** tries) * (0.5 + Math.random() / 2), undefined, { signal: device.signal });
    }
  }
}

/** Heartbeats go beside the long poll, the first after a random part of the interval, so that devices that start together do not beat together. */
async function beat(device: Device): Promise<void> {
  await sleep(device.heartbeatMs * Math.random(), undefined, { signal: device.signal });
  await persist(device, async () => {
    const { running: runningDigest, sequence, quarantined } = device;
    await report(device, [{ kind: 'heartbeat', runningDigest, sequence, agentVersion: AGENT_VERSION, quarantined }], device.connections);
    await sleep(device.heartbeatMs * (0.9 + Math.random() * 0.2), undefined, { signal: device.signal });
  });
}

function ask(
  device: Device,
  what: Pick<Ask, 'method' | 'path' | 'body'> & { headers?: Record<string, string> },
  through: Pick<Connections, 'ask'> = device.own,
): Promise<Answer> {
  return through.ask({ ...what, headers: { ...device.identity, ...what.headers }, signal: device.signal });
}
