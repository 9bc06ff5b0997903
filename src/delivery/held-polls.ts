import type { ServerResponse } from 'node:http';
import type { Archives } from '../bundle/archives.ts';
import type { DeviceKey } from '../device/device.ts';
import { Problem } from '../errors.ts';
import type { Signer } from '../organization/signing.ts';
import type { ReportIntake } from '../report/intake.ts';
import { DESIRED_WITH_ARCHIVE, withArchive } from '../wire/agent.ts';
import type { Admission } from './admission.ts';
import { type Desired, desiredEtag, desiredPayload } from './desired.ts';
import type { Wakeups } from './wakeups.ts';

/** `httpRequest`: counts an answered request. */
export type HeldPollDeps = {
  wakeups: Wakeups;
  admission: Admission;
  intake: ReportIntake;
  signer: Signer;
  archives: Archives;
  metrics: { httpRequest(method: string, route: string, status: number, durationMs: number): void };
};

/** A poll whose answer waits for a change. */
export type HeldPoll = {
  key: DeviceKey;
  /** Tag of the state that the device knows. */
  known: string;
  waitMs: number;
  /** See `DesiredState`. */
  inlineBytes: number;
  requestId: string;
  outgoing: ServerResponse;
};

/**
 * Answers as soon as something else than `known` is desired of the device, and with "unchanged" when the time is over. Nothing but the connection and a
 * few words is kept meanwhile: ten thousand of these wait at a time. What goes wrong later ends the wait as well, and is told by the device's next poll.
 * @throws what went wrong at the first look, when nothing is answered yet; resolves after it
 */
export async function holdPoll(services: HeldPollDeps, { key, known, waitMs, inlineBytes, requestId, outgoing }: HeldPoll): Promise<void> {
  const { wakeups, admission, metrics } = services;
  const started = performance.now();
  let checking = false;
  let wokenAgain = false;
  let ended = false;
  let isWoken = false;
  const release = () => {
    ended = true;
    clearTimeout(timer);
    stopListening();
    outgoing.off('close', release);
  };
  const end = (status: 200 | 304, headers: Record<string, string>, body?: Uint8Array<ArrayBuffer> | string) => {
    if (ended) return;
    release();
    outgoing.writeHead(status, { ...headers, 'x-request-id': requestId }).end(body);
    metrics.httpRequest('GET', HELD_ROUTE, status, performance.now() - started);
  };
  const endUnchanged = () => end(304, { etag: known });
  const wake = () => {
    isWoken = true;
    check().catch(endUnchanged);
  };
  const check = async () => {
    if (ended) return;
    if (wakeups.closing()) return endUnchanged();
    wokenAgain = checking;
    if (checking) return;
    checking = true;
    try {
      do {
        wokenAgain = false;
        const state = await registered(wakeups.load, key);
        if (ended) return;
        const isChanged = desiredEtag(state) !== known;
        const isAttempt = isChanged && state.deploymentId !== null;
        if (!isAttempt) admission.withdraw(key);
        // Who waits for its turn looks again then: what it is to do may be something else by that time.
        if (isChanged && (!isAttempt || admission.admit(key, `${key.organizationId} ${state.sourceId}`, wake))) {
          const { body, headers } = await signedAnswer(services, state, inlineBytes);
          return end(200, headers, body);
        }
      } while (wokenAgain && !ended);
    } finally {
      checking = false;
    }
  };
  const timer = setTimeout(endUnchanged, waitMs);
  const stopListening = wakeups.listen(key, wake);
  outgoing.once('close', release);
  try {
    // Listening came before checking: a change between the two still wakes. Whoever was woken has looked at what is newer, without waiting for company.
    const state = await presentState(services, key, waitMs < GATHERED_FROM_MS ? wakeups.load : wakeups.loadSoon);
    if (ended || isWoken) return;
    if (desiredEtag(state) === known) admission.withdraw(key);
    else await check();
  } catch (error) {
    // Answered meanwhile, or nobody is there any more.
    if (ended) return;
    release();
    throw error;
  }
}

/** A poll that waits shorter is not kept waiting for company. */
const GATHERED_FROM_MS = 1_000;

type Load = Wakeups['load'];

/**
 * What the device is to run and do now. Who asks is there: a rollout may take it from now on, and need not wait for a heartbeat.
 * @throws Problem `unauthorized` when it is not registered any more
 */
export async function presentState(
  { intake, wakeups }: { intake: ReportIntake; wakeups: Wakeups },
  key: DeviceKey,
  load: Load = wakeups.load,
): Promise<Desired> {
  const state = await registered(load, key);
  if (!state.isHeard) await intake.take(key.organizationId, key.deviceId, []);
  return state;
}

async function registered(load: Load, key: DeviceKey): Promise<Desired> {
  const state = await load(key);
  if (state !== undefined) return state;
  throw new Problem('unauthorized', `Cannot answer: device "${key.deviceId}" is not registered any more`);
}

/** Its own label: durations of polls that wait say how long nothing happened. */
const HELD_ROUTE = '/agent/v1/desired (held)';

/** What the device is told, signed and dated now; with the archive of a bundle that it is to apply and that has at most `inlineBytes`. */
export async function signedAnswer(
  { signer, archives }: { signer: Signer; archives: Archives },
  state: Desired,
  inlineBytes: number,
): Promise<{ body: Uint8Array<ArrayBuffer> | string; headers: Record<string, string> }> {
  const [jws, archive] = await Promise.all([
    signer.sign(state.organizationId, desiredPayload(state, new Date())),
    inlineArchive(archives, state, inlineBytes),
  ]);
  const headers = { etag: desiredEtag(state), 'cache-control': 'no-store' };
  if (archive === null) return { body: jws, headers: { 'content-type': 'application/jose', ...headers } };
  return { body: withArchive(jws, archive), headers: { 'content-type': DESIRED_WITH_ARCHIVE, ...headers } };
}

/** null where it is not to be sent along, or cannot be read: the device will ask for it and be told why. */
async function inlineArchive(
  archives: Archives,
  { organizationId, deploymentId, bundle }: Desired,
  maxBytes: number,
): Promise<Buffer | null> {
  if (bundle === null || deploymentId === null || bundle.size > maxBytes) return null;
  try {
    const archive = await archives.open({ organizationId, digest: bundle.digest });
    return archive === undefined ? null : Buffer.concat(await Array.fromAsync(archive.read(0, archive.size - 1)));
  } catch {
    return null;
  }
}
