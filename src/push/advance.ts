import type { OpenedPush } from '../adapter/adapter.ts';
import { afterStep, nextStep, type StepOutcome } from '../adapter/next-step.ts';
import { openPrepared, sealPrepared } from '../adapter/prepared.ts';
import { beginPush, type DuePush, insertPush, type PushRecord, pushState, savePush } from '../adapter/pushes-store.ts';
import type { Adapters } from '../adapter/registry.ts';
import { startDeadline } from '../async/deadline.ts';
import { unreachable } from '../async/unreachable.ts';
import { loadBundle } from '../bundle/store.ts';
import type { SecretBox } from '../crypto/secret-box.ts';
import { isProblem, messageOf, retryOf } from '../errors.ts';
import type { Store } from '../event/transact.ts';
import { faultPoint } from '../faults.ts';
import { newId } from '../ids.ts';
import type { PreparedPush } from '../integration/provider.ts';
import { type DeliveryStep, reportDelivery } from './report.ts';

export type PushDeps = { store: Store; adapters: Adapters; box: SecretBox };

/** `ended`: nothing is left to do. `waits`: the record names the time of the next step. `closed`: nothing may be asked of the platform now. */
export type Advanced = 'ended' | 'waits' | 'closed';

/** Time limit of one step. A platform's client has shorter ones for each request. */
const STEP_MS = 60_000;

/**
 * Brings one delivery as far as it comes without waiting. Each step is stored before the next one begins, so that another process goes on after a
 * crash between any two of them.
 * @param signal fires when the service stops; the step in progress is then repeated later
 * @throws errors of the database, and unexpected ones
 */
export async function advancePush(deps: PushDeps, due: DuePush, signal: AbortSignal): Promise<Advanced> {
  const adapter = deps.adapters.find(due.adapter);
  // A platform that this version of the service does not know.
  if (adapter?.delivery !== 'push') return 'closed';
  let opened: OpenedPush | undefined;
  const open = async () => {
    opened ??= await adapter.open({
      organizationId: due.organizationId,
      deviceId: due.deviceId,
      digest: due.bundle,
      previous: due.previous,
      place: due.place,
      loadBundle: (digest) => loadBundle(deps.store.sql, due.organizationId, digest),
    });
    return opened;
  };
  const report = (steps: readonly DeliveryStep[], unverified: string | null = null) =>
    reportDelivery(deps.store, due, steps, { isContact: adapter.provesContact, unverified });
  try {
    for (;;) {
      signal.throwIfAborted();
      const state = await pushState(deps.store.sql, due);
      if (state === undefined) return 'ended';
      const advanced = await takeStep({ deps, due, open, report, signal }, state);
      if (advanced !== 'further') return advanced;
    }
  } finally {
    opened?.close();
  }
}

type Delivery = {
  deps: PushDeps;
  due: DuePush;
  open(): Promise<OpenedPush>;
  report(steps: readonly DeliveryStep[], unverified?: string | null): Promise<void>;
  signal: AbortSignal;
};
type State = NonNullable<Awaited<ReturnType<typeof pushState>>>;

async function takeStep(delivery: Delivery, { attempt, push }: State): Promise<Advanced | 'further'> {
  const { deps, due, report } = delivery;
  const { sql } = deps.store;
  const next = nextStep(attempt, push);
  if (next === 'none') return 'ended';
  if (push === undefined) return prepare(delivery);
  if (push.notBefore !== null && push.notBefore > new Date()) {
    // A cancelled attempt is not asked about again.
    if (next !== 'close' && next !== 'turn_back') return 'waits';
  }
  switch (next) {
    case 'prepare':
      return prepare(delivery);
    case 'begin':
      await report([{ state: 'delivering' }, { state: 'applying' }]);
      await beginPush(sql, due);
      return 'further';
    case 'apply':
    case 'verify':
    case 'cancel':
      return callPlatform(delivery, push, next, attempt);
    case 'settle':
      return settle(delivery, push);
    case 'fail':
      await report([{ state: 'failed', code: 'refused', detail: push.detail ?? '' }]);
      return 'further';
    case 'turn_back':
      await savePush(sql, due, push.step, { step: 'cancelling', verdict: 'cancelled', tries: 0 });
      return 'further';
    case 'close':
      await savePush(sql, due, push.step, { step: 'done', ...(push.verdict === null ? { verdict: 'cancelled' } : {}) });
      return 'ended';
    default:
      return unreachable(next);
  }
}

/** Nothing was sent yet: a failure here leaves the device as it is. */
async function prepare({ deps, due, open, report, signal }: Delivery): Promise<Advanced | 'further'> {
  const deadline = startDeadline(STEP_MS, signal);
  let prepared: PreparedPush;
  try {
    prepared = await (await open()).prepare(deadline.signal);
  } catch (error) {
    if (signal.aborted) throw error;
    if (isClosed(error)) return 'closed';
    // Only an error marked as permanent blames the bundle. An unreachable share, network or database does not.
    const code = retryOf(error) === 'never' ? 'refused' : 'delivery_failed';
    await report([{ state: 'failed', code, detail: messageOf(error).slice(0, MAX_DETAIL) }, { state: 'rolled_back' }]);
    return 'ended';
  } finally {
    deadline.clear();
  }
  faultPoint('push_step_taken');
  await insertPush(deps.store.sql, due, sealPrepared(deps.box, due, prepared), newId());
  faultPoint('push_step_kept');
  return 'further';
}

const MAX_DETAIL = 4_000;

async function callPlatform(
  delivery: Delivery,
  push: PushRecord,
  step: 'apply' | 'verify' | 'cancel',
  attempt: State['attempt'],
): Promise<Advanced | 'further'> {
  const { deps, due, report } = delivery;
  const result = await outcomeOf(delivery, push, step);
  faultPoint('push_step_taken');
  const change = afterStep(push, result, Math.random());
  if (step === 'verify' && change.step === 'verifying' && attempt !== 'confirming') await report([{ state: 'confirming' }]);
  // Reported before the record ends: a crash in between reports it twice, which changes nothing.
  if (result.of === 'cancel' && result.outcome.is === 'cancelled' && (attempt === 'failed' || attempt === 'timed_out'))
    await report([{ state: 'rolled_back' }]);
  await savePush(deps.store.sql, due, push.step, change);
  faultPoint('push_step_kept');
  if (change.step === 'done') return 'ended';
  return change.waitSeconds === undefined ? 'further' : 'waits';
}

async function outcomeOf(
  { deps, due, open, signal }: Delivery,
  push: PushRecord,
  step: 'apply' | 'verify' | 'cancel',
): Promise<StepOutcome> {
  const deadline = startDeadline(STEP_MS, signal);
  try {
    const opened = await open();
    const { receipt, token } = push;
    const prepared = openPrepared(deps.box, due, push);
    if (step === 'apply') return { of: step, outcome: { is: 'applied', receipt: await opened.apply(prepared, token, deadline.signal) } };
    if (step === 'verify') return { of: step, outcome: await opened.verify(prepared, receipt, token, deadline.signal) };
    await opened.cancel(prepared, receipt, deadline.signal);
    return { of: step, outcome: { is: 'cancelled' } };
  } catch (error) {
    return { of: step, outcome: faultOf(error, signal) };
  } finally {
    deadline.clear();
  }
}

/** Makes a change on trial permanent, and reports the success. Done twice after a crash in between. */
async function settle({ deps, due, open, report, signal }: Delivery, push: PushRecord): Promise<Advanced | 'further'> {
  const deadline = startDeadline(STEP_MS, signal);
  try {
    const opened = await open();
    await opened.confirm?.(openPrepared(deps.box, due, push), push.receipt, deadline.signal);
  } catch (error) {
    const change = afterStep(push, { of: 'confirm', outcome: faultOf(error, signal) }, Math.random());
    await savePush(deps.store.sql, due, push.step, change);
    return change.waitSeconds === undefined ? 'further' : 'waits';
  } finally {
    deadline.clear();
  }
  faultPoint('push_step_taken');
  await report([{ state: 'succeeded' }], push.verdict === 'unverified' ? (push.detail ?? '') : null);
  return 'further';
}

function faultOf(error: unknown, signal: AbortSignal) {
  if (signal.aborted) throw error;
  const isPassing = retryOf(error) !== 'never' || isClosed(error);
  return { is: 'fault' as const, isPassing, detail: messageOf(error).slice(0, MAX_DETAIL) };
}

/** The platform as a whole takes no requests now. That is no device's failure: the attempt stays as it is. */
function isClosed(error: unknown): boolean {
  return isProblem(
    error,
    'integration_unassigned',
    'integration_unavailable',
    'integration_rate_limited',
    'integration_blocked',
    'integration_disabled',
    'integration_unauthorized',
  );
}
