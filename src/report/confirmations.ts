import { batched } from '../async/batch.ts';
import type { Closable } from '../async/lifecycle.ts';
import { isDatabaseAway } from '../db/away.ts';
import type { Db } from '../db/connect.ts';
import { type DeploymentState, statesBefore } from '../deployment/deployment.ts';
import { type AttemptKey, attemptsIn } from '../deployment/store.ts';
import { type DeviceKey, nameOf } from '../device/device.ts';
import { UUID } from '../ids.ts';
import type { Log } from '../log.ts';
import { REPORT_GATHER_MS, type Report } from '../wire/agent.ts';
import type { ReportIntake } from './intake.ts';

type PendingSteps = { key: DeviceKey; reports: Report[]; timer: NodeJS.Timeout };

/** Attempts per query. */
const BATCH = 200;

/**
 * Confirms a device's applied bundle without writing first. Such a device reports success a moment later, and one write then stores both. Longer steps
 * are written within a second, so that operators can watch them. A crash in between loses one step. The device's next report replaces it; without one,
 * the attempt times out as before.
 * @param gatherMs how long a step waits for the next one
 */
export function confirmEarly(sql: Db, intake: ReportIntake, log: Log, gatherMs = REPORT_GATHER_MS): ReportIntake & Closable {
  const pending = new Map<string, PendingSteps>();
  const isWanted = batched(BATCH, (keys: readonly AttemptKey[]) => attemptsIn(sql, keys, WANTED));
  const release = (key: DeviceKey): Report[] => {
    const steps = pending.get(nameOf(key));
    if (steps === undefined) return [];
    clearTimeout(steps.timer);
    pending.delete(nameOf(key));
    return steps.reports;
  };
  const writing = new Set<Promise<void>>();
  const write = async (key: DeviceKey) => {
    // No request waits for this write, so the log is the only place for its error.
    await intake.take(key.organizationId, key.deviceId, release(key)).catch((error: unknown) => {
      const level = isDatabaseAway(error) ? 'debug' : 'error';
      log[level]({ ...key, err: error }, 'failed to write steps of a deployment; the next report of the device replaces them');
    });
  };
  const writePending = (key: DeviceKey) => {
    const done: Promise<void> = write(key).finally(() => writing.delete(done));
    writing.add(done);
  };
  return {
    take: async (organizationId, deviceId, reports, sender) => {
      const key = { organizationId, deviceId };
      const deploymentId = confirmingOnly(reports);
      const isEarly = deploymentId !== null && (await isWanted({ ...key, deploymentId }));
      const all = [...release(key), ...reports];
      if (!isEarly) return intake.take(organizationId, deviceId, all, sender);
      pending.set(nameOf(key), { key, reports: all, timer: setTimeout(writePending, gatherMs, key) });
      return [deploymentId];
    },
    close: async () => {
      for (const { key } of [...pending.values()]) writePending(key);
      await Promise.all(writing);
    },
  };
}

/** Returns the attempt that these reports bring to `confirming`; null when they contain anything else. */
function confirmingOnly(reports: readonly Report[]): string | null {
  const last = reports.at(-1);
  if (last?.kind !== 'deployment' || last.state !== 'confirming' || !UUID.test(last.deploymentId)) return null;
  return reports.every((report) => report.kind === 'deployment' && report.deploymentId === last.deploymentId) ? last.deploymentId : null;
}

/** States in which a device may confirm or has confirmed. They must match `decideReports`. */
const WANTED: readonly DeploymentState[] = [...statesBefore('confirming'), 'confirming', 'succeeded'];
