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
 * Answers as soon as the desired state differs from `known`, or with "unchanged" when the time is over. It keeps only the connection and a few fields
 * meanwhile, since ten thousand polls wait at a time. A later error ends the wait as well, and the device's next poll reports it.
 * @throws an error of the first check, before any answer; resolves after that check
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
        // A device that waits for its turn checks again then, since its desired state may have changed by that time.
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
    // The poll listens before it checks, so that a change between the two still wakes it. A woken poll has already checked a newer state, with `load`.
    const state = await presentState(services, key, waitMs < GATHERED_FROM_MS ? wakeups.load : wakeups.loadSoon);
    if (ended || isWoken) return;
    if (desiredEtag(state) === known) admission.withdraw(key);
    else await check();
  } catch (error) {
    // The poll was answered meanwhile, or the connection is closed.
    if (ended) return;
    release();
    throw error;
  }
}

/** A poll with a shorter wait is loaded at once instead of with others. */
const GATHERED_FROM_MS = 1_000;

type Load = Wakeups['load'];

/**
 * Returns the device's present desired state. A poll also shows that the device is online, so that a rollout can include it before its next heartbeat.
 * @throws Problem `unauthorized` when the device is no longer registered
 */
export async function presentState(
  { intake, wakeups }: { intake: ReportIntake; wakeups: Wakeups },
  key: DeviceKey,
  load: Load = wakeups.load,
): Promise<Desired> {
  const state = await registered(load, key);
  if (!state.hasRecentReport) await intake.take(key.organizationId, key.deviceId, []);
  return state;
}

async function registered(load: Load, key: DeviceKey): Promise<Desired> {
  const state = await load(key);
  if (state !== undefined) return state;
  throw new Problem('unauthorized', `Cannot answer: device "${key.deviceId}" is no longer registered`);
}

/** Label of its own in metrics, since the duration of a held poll is idle time. */
const HELD_ROUTE = '/agent/v1/desired (held)';

/** Signs the desired state with the present time. It appends the archive of a bundle to apply if that has at most `inlineBytes`. */
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

/** null where the archive is not sent along or cannot be read. The device's own request for the bundle then gets the error. */
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
