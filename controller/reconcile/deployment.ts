import type { PushAdapter } from '../../src/adapter/adapter.ts';
import { loadBundle } from '../../src/bundle/store.ts';
import { type PushAttempt, queuedPushes } from '../../src/deployment/store.ts';
import { messageOf, retryOf } from '../../src/errors.ts';
import { newId } from '../../src/ids.ts';
import { ingestReports } from '../../src/report/ingest.ts';
import type { DeviceDeploymentState, Report } from '../../src/wire/agent.ts';
import type { Controller } from '../context.ts';
import { DevicesFailed } from '../devices-failed.ts';

/** Parallel deliveries per organization and process. */
const PARALLEL = 8;
const DELIVERY_TIMEOUT_MS = 60_000;

/**
 * Delivers the queued attempts of devices with push adapters. Devices that pull are not included.
 * @throws DevicesFailed after all other deliveries
 */
export async function reconcileDeliveries(controller: Controller, organizationId: string): Promise<void> {
  const pushed = controller.adapters.names.filter((name) => controller.adapters.get(name).delivery === 'push');
  const failed = new Map<string, unknown>();
  for (;;) {
    const due = await queuedPushes(controller.store.sql, organizationId, { adapters: pushed, except: [...failed.keys()], limit: PARALLEL });
    if (due.length === 0) break;
    await Promise.all(due.map((attempt) => deliver(controller, attempt).catch((error: unknown) => failed.set(attempt.deviceId, error))));
  }
  if (failed.size > 0) throw new DevicesFailed(failed);
}

async function deliver(controller: Controller, due: PushAttempt): Promise<void> {
  const report = (state: DeviceDeploymentState, running: string | null, failure: { code?: string; detail?: string } = {}) =>
    reportStep(controller, due, { state, running, ...failure });
  await report('delivering', due.previous);
  try {
    const adapter = controller.adapters.get(due.adapter);
    if (adapter.delivery === 'push') await push(controller, adapter, due);
    await report('succeeded', due.bundle);
  } catch (error) {
    // Only an error marked as permanent blames the bundle. An unreachable share, network or database does not.
    const passing = retryOf(error) !== 'never';
    await report('failed', due.previous, { code: passing ? 'delivery_failed' : 'refused', detail: messageOf(error).slice(0, 4000) });
    // By the adapter's contract a failed delivery changes nothing.
    await report('rolled_back', due.previous);
  }
}

async function push(controller: Controller, adapter: PushAdapter, due: PushAttempt): Promise<void> {
  const { manifest, readFile } = await loadBundle(controller.store.sql, due.organizationId, due.bundle);
  await adapter.deliver({
    organizationId: due.organizationId,
    deviceId: due.deviceId,
    digest: due.bundle,
    manifest,
    readFile,
    signal: AbortSignal.timeout(DELIVERY_TIMEOUT_MS),
  });
}

/** Reports a push delivery as a report of the agent protocol, so that one code path moves every deployment. */
async function reportStep(
  controller: Controller,
  due: PushAttempt,
  step: { state: DeviceDeploymentState; running: string | null; code?: string; detail?: string },
): Promise<void> {
  const report: Report = {
    id: newId(),
    at: new Date().toISOString(),
    kind: 'deployment',
    deploymentId: due.deploymentId,
    state: step.state,
    runningDigest: step.running,
    code: step.code,
    detail: step.detail,
  };
  await ingestReports(controller.store, due.organizationId, [{ deviceId: due.deviceId, reports: [report] }]);
}
