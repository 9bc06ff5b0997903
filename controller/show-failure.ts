import { unreachable } from '../src/async/unreachable.ts';
import { FAILURES_TO_SHOW } from '../src/db/job-failures-store.ts';
import type { QueueName } from '../src/db/queue.ts';
import { messageOf, Problem } from '../src/errors.ts';
import type { NewEvent } from '../src/event/event.ts';
import { transact } from '../src/event/transact.ts';
import { foreignText } from '../src/git/problems.ts';
import { withoutCredentials } from '../src/git/protocol/scrub.ts';
import { noteRun } from '../src/integration/runs/note.ts';
import { integrationById } from '../src/integration/store/services.ts';
import { recordStatusFailure } from '../src/plan/post/store.ts';
import { mergeRequestById, recordRequestFailure } from '../src/plan/store.ts';
import { clearWaiting, noteWaiting, rolloutById } from '../src/rollout/store/store.ts';
import { openCredentials } from '../src/source/credentials.ts';
import type { Source } from '../src/source/source.ts';
import { sourceById } from '../src/source/store.ts';
import type { Controller } from './context.ts';
import { DevicesFailed } from './devices-failed.ts';
import { recordFailure } from './reconcile/source.ts';

export const INTERNAL_ERROR = 'internal_error';
/** Events per failure; the error text names the number of devices. */
const MAX_DEVICE_EVENTS = 50;

export type Failing = { error: unknown; failures: number; retryInSeconds: number; retryAt: Date };

/** Records a job's failure on the subject of the job, and emits an event at the first recorded failure. */
export async function showFailure(controller: Controller, queue: QueueName, key: string, failing: Failing): Promise<void> {
  switch (queue) {
    case 'source':
      return showOnSource(controller, key, failing);
    case 'rollout':
      return showOnRollout(controller, key, failing);
    case 'merge_request':
      return showOnMergeRequest(controller, key, failing);
    case 'commit_status':
      return showOnStatus(controller, key, failing);
    case 'integration':
      return showOnIntegration(controller, key, failing);
    case 'deployment':
    case 'workspace':
      return showOnDevices(controller, queue, key, failing);
    default:
      return unreachable(queue);
  }
}

/** Clears the records of a failure that the job's success does not overwrite. */
export async function showRecovery(controller: Controller, queue: QueueName, key: string): Promise<void> {
  if (queue === 'rollout') await clearWaiting(controller.store.sql, key, INTERNAL_ERROR);
  if (queue === 'deployment' || queue === 'workspace')
    await emitOf(controller, { organizationId: key, type: 'job.recovered', subject: 'service:controller', data: { queue } });
}

function detailOf({ error, retryInSeconds }: Failing, what: string): string {
  return `Cannot ${what}: unexpected error of this service, "${foreignText(messageOf(error))}"; the next try is in ${retryInSeconds} s`;
}

async function showOnSource(controller: Controller, id: string, failing: Failing): Promise<void> {
  const source = await sourceById(controller.store.sql, id);
  if (source === undefined) return;
  const problem = new Problem(INTERNAL_ERROR, detailOf(failing, 'check the source'), { retry: 'backoff' });
  const shown = withoutCredentials(problem, credentialsOf(controller, source));
  await recordFailure(controller, source, shown instanceof Problem ? shown : problem);
}

/** undefined: the credentials cannot be opened, which may be the failure itself. */
function credentialsOf({ box }: Controller, source: Source) {
  try {
    return openCredentials(box, source);
  } catch {
    return undefined;
  }
}

async function showOnRollout({ store }: Controller, id: string, failing: Failing): Promise<void> {
  const rollout = await rolloutById(store.sql, id);
  if (rollout === undefined) return;
  const why = { code: INTERNAL_ERROR, detail: detailOf(failing, 'reconcile the rollout') };
  await transact(store, async ({ tx, emit }) => {
    if (!(await noteWaiting(tx, rollout, why, failing.retryAt))) return;
    const { organizationId, sourceId, revisionId } = rollout;
    emit({ organizationId, type: 'rollout.blocked', subject: `rollout:${id}`, data: { sourceId, revisionId, ...why } });
  });
}

async function showOnMergeRequest({ store }: Controller, id: string, failing: Failing): Promise<void> {
  const request = await mergeRequestById(store.sql, id);
  if (request === undefined) return;
  const error = { code: INTERNAL_ERROR, detail: detailOf(failing, 'plan the merge request') };
  await transact(store, async ({ tx, emit }) => {
    await recordRequestFailure(tx, id, error, failing.retryInSeconds);
    if (failing.failures !== FAILURES_TO_SHOW) return;
    const { organizationId, sourceId, number } = request;
    emit({ organizationId, type: 'merge_request.not_posted', subject: `source:${sourceId}`, data: { number, ...error } });
  });
}

async function showOnStatus({ store }: Controller, id: string, failing: Failing): Promise<void> {
  const rollout = await rolloutById(store.sql, id);
  if (rollout === undefined) return;
  const error = { code: INTERNAL_ERROR, detail: detailOf(failing, 'post the commit status') };
  await transact(store, async ({ tx, emit }) => {
    await recordStatusFailure(tx, rollout, error, failing.retryInSeconds);
    if (failing.failures !== FAILURES_TO_SHOW) return;
    const { organizationId, sourceId, revisionId } = rollout;
    emit({ organizationId, type: 'rollout.not_reported', subject: `rollout:${id}`, data: { sourceId, revisionId, ...error } });
  });
}

async function showOnIntegration({ store }: Controller, id: string, failing: Failing): Promise<void> {
  const integration = await integrationById(store.sql, id);
  if (integration === undefined) return;
  const error = new Problem(INTERNAL_ERROR, detailOf(failing, 'sync the integration'), { retry: 'backoff' });
  await transact(store, (unit) => noteRun(unit, integration, { error }));
}

/** Emits events only: `devices why` reads the failure from the database. */
async function showOnDevices(
  controller: Controller,
  queue: 'deployment' | 'workspace',
  organizationId: string,
  failing: Failing,
): Promise<void> {
  if (failing.failures !== FAILURES_TO_SHOW) return;
  const what = queue === 'deployment' ? 'deliver to devices' : 'update the workspaces of devices';
  const data = { queue, code: INTERNAL_ERROR, detail: detailOf(failing, what) };
  const { error } = failing;
  const subjects =
    error instanceof DevicesFailed ? error.deviceIds.slice(0, MAX_DEVICE_EVENTS).map((id) => `device:${id}`) : ['service:controller'];
  for (const subject of subjects) await emitOf(controller, { organizationId, type: 'job.failing', subject, data });
}

async function emitOf({ store }: Controller, event: NewEvent): Promise<void> {
  await transact(store, async ({ emit }) => emit(event));
}
