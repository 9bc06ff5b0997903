import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { around } from '../async/backoff.ts';
import { messageOf, Problem } from '../errors.ts';
import { type DesiredState, INLINE_BYTES, INSTANCE_HEADER, SigningKeysResponse, splitDesired } from '../wire/agent.ts';
import { sha256Hex } from '../wire/bundle.ts';
import { attempt, type DesiredBundle, fetchBundle } from './attempt.ts';
import { type Behaviour, chance, isDrifting, presenceOf } from './behaviour.ts';
import { type Answer, type Connections, parseAnswer } from './connection.ts';
import type { Device, DeviceKey, SimulationEvent } from './context.ts';
import { openLine } from './line.ts';
import { nextWalk, STILL, sampleOf } from './metrics.ts';
import { pauseMs, report } from './reports.ts';
import type { Pinned, Trust } from './trust.ts';

export type { DeviceKey, SimulationEvent } from './context.ts';

export type DeviceOptions = {
  connections: Connections;
  trust: Trust;
  behaviour: Behaviour;
  onState(event: SimulationEvent): void;
};

const WAIT_SECONDS = 55;
const AGENT_VERSION = 'simulated';

/** Polls, applies and reports as the device `key.id` until the signal fires. It retries failures with growing pauses, and writes nothing to the disk. */
export async function runDevice(key: DeviceKey, options: DeviceOptions, signal: AbortSignal): Promise<void> {
  const { connections, behaviour, trust, onState } = options;
  const line = openLine(connections, {
    'x-device-id': key.id,
    'x-api-key': key.apiKey,
    [INSTANCE_HEADER]: instanceOf(key.id),
  });
  const ready = Promise.withResolvers<void>();
  const device: Device = {
    ...{ id: key.id, behaviour, trust, line, signal, onState },
    pinned: null,
    etag: undefined,
    sequence: 0,
    running: null,
    before: null,
    quarantined: [],
    attempt: null,
    finished: null,
    handledCommands: NO_COMMANDS,
    heartbeatMs: 30_000,
    ready: false,
  };
  try {
    const polling = persist(device, () => turn(device, ready.resolve)).finally(ready.resolve);
    await Promise.all([polling, beat(device, ready.promise), measure(device), varyPresence(device)]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await line.close();
  }
}

/** Like an agent's instance: the machine part is constant, the start part is random. Two simulations with the same keys appear as clones. */
function instanceOf(id: string): string {
  return `${sha256Hex(`simulated ${id}`).slice(0, 12)}.${randomBytes(6).toString('hex')}`;
}

const NO_COMMANDS: ReadonlySet<string> = new Set();

/** Repeats `work`, with a growing pause after each failure. */
async function persist(device: Device, work: () => Promise<void>): Promise<void> {
  for (let failures = 0; !device.signal.aborted; ) {
    try {
      await work();
      failures = 0;
    } catch (error) {
      if (device.signal.aborted) return;
      device.onState({ kind: 'trouble', deviceId: device.id, problem: messageOf(error) });
      const askedMs = error instanceof Problem ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
      await sleep(Math.max(askedMs, pauseMs(failures)), undefined, { signal: device.signal });
      failures += 1;
    }
  }
}

/** One poll and the work that it requires. */
async function turn(device: Device, markReady: () => void): Promise<void> {
  const { line, signal } = device;
  device.pinned ??= parseAnswer(SigningKeysResponse, await line.ask({ method: 'GET', path: 'keys', signal }));
  const headers: Record<string, string> = device.etag === undefined ? {} : { 'if-none-match': device.etag };
  // The service answers the first poll at once, so that the device counts as ready.
  const answer = await line.ask({
    method: 'GET',
    path: `desired?wait=${device.ready ? WAIT_SECONDS : 0}&inline=${INLINE_BYTES}`,
    headers,
    signal,
  });
  if (answer.status !== 304) await applyDesired(device, answer, device.pinned);
  if (device.ready) return;
  device.ready = true;
  markReady();
  device.onState({ kind: 'ready', deviceId: device.id });
}

async function applyDesired(device: Device, answer: Answer, pinned: Pinned): Promise<void> {
  const { id: deviceId, sequence } = device;
  const { jws, archive } = splitDesired(answer.body);
  const desired = await device.trust.desired(jws, { ...pinned, deviceId, sequence, now: new Date() });
  device.sequence = desired.sequence;
  device.heartbeatMs = desired.heartbeatSeconds * 1000;
  await answerCommands(device, desired);
  if (desired.bundle !== null && desired.deploymentId === null) await adopt(device, desired.bundle);
  if (desired.bundle !== null && desired.deploymentId !== null && desired.deploymentId !== device.finished) {
    await attempt(device, desired, desired.deploymentId, { ...desired.bundle, archive });
    device.finished = desired.deploymentId;
  }
  // Set last: after a failure, the next poll returns the same state again.
  device.etag = answer.etag;
}

/** After a start the device has no bundle. It loads the one that it runs according to the service. */
async function adopt(device: Device, desiredBundle: DesiredBundle): Promise<void> {
  if (device.running !== null) return;
  const { digest, content } = await fetchBundle(device, desiredBundle);
  device.running = { digest, content, isUpdated: false };
}

async function answerCommands(device: Device, desired: DesiredState): Promise<void> {
  const fresh = desired.commands.filter((command) => !device.handledCommands.has(command.id));
  if (fresh.length > 0) {
    const result = { simulated: true };
    await report(
      device,
      fresh.map((command) => ({ kind: 'command', commandId: command.id, state: 'completed', result })),
    );
  }
  device.handledCommands = desired.commands.length === 0 ? NO_COMMANDS : new Set(desired.commands.map((command) => command.id));
}

/**
 * Sends heartbeats beside the long poll. The first follows after a random part of the interval, so that devices which start together spread out.
 * None precedes `ready`: it would report that the device runs nothing.
 */
async function beat(device: Device, ready: Promise<void>): Promise<void> {
  const { line, signal } = device;
  await ready;
  await sleep(device.heartbeatMs * Math.random(), undefined, { signal });
  await persist(device, async () => {
    const { running, sequence, quarantined } = device;
    const heartbeat = {
      kind: 'heartbeat' as const,
      runningDigest: running?.digest ?? null,
      sequence,
      agentVersion: AGENT_VERSION,
      quarantined,
    };
    await report(device, [heartbeat], { ask: line.askBeside });
    await sleep(around(device.heartbeatMs), undefined, { signal });
  });
}

/** Sends metrics beside the long poll. A disconnected device keeps one sample until it reconnects, and takes no others. */
async function measure(device: Device): Promise<void> {
  const { behaviour, id, line, signal } = device;
  const { telemetrySeconds, driftMetric, seed } = behaviour;
  if (telemetrySeconds === 0) return;
  await sleep(telemetrySeconds * 1000 * Math.random(), undefined, { signal });
  let walk = STILL;
  let number = 0;
  await persist(device, async () => {
    number += 1;
    const drifts = device.running !== null && isDrifting(behaviour, id, device.running);
    walk = nextWalk(walk, drifts, (metric) => chance(String(seed), id, metric, String(number)));
    await report(device, [{ kind: 'telemetry', metrics: sampleOf(walk, driftMetric) }], { ask: line.askBeside });
    await sleep(telemetrySeconds * 1000, undefined, { signal });
  });
}

/** Disconnects and reconnects repeatedly, if the behaviour selects this device. */
async function varyPresence({ behaviour, id, line, signal, onState }: Device): Promise<void> {
  for (let number = 1; ; number++) {
    const phases = presenceOf(behaviour, id, number);
    if (phases === null) return;
    await sleep(phases.onlineMs, undefined, { signal });
    line.cut();
    onState({ kind: 'presence', deviceId: id, state: 'away' });
    await sleep(phases.offlineMs, undefined, { signal });
    line.restore();
    onState({ kind: 'presence', deviceId: id, state: 'back' });
  }
}
