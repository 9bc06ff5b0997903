import { batched } from '../async/batch.ts';
import type { Db } from '../db/connect.ts';
import { type DeploymentState, statesBefore } from '../deployment/deployment.ts';
import { type AttemptKey, attemptsIn } from '../deployment/store.ts';
import { type DeviceKey, nameOf } from '../device/device.ts';
import { UUID } from '../ids.ts';
import { REPORT_GATHER_MS, type Report } from '../wire/agent.ts';
import type { ReportIntake } from './intake.ts';

type Held = { key: DeviceKey; reports: Report[]; timer: NodeJS.Timeout };

/** Attempts per question. */
const BATCH = 200;

/**
 * Answers a device that has applied its bundle and asks whether it may keep it, without writing anything yet: such a device says in the next moment that it
 * has, and both are one write then. Steps that take longer are written within a second, so that they can be watched. A crash between loses the news of
 * a step: the device's next word tells more than that, and without one the attempt times out as before.
 * @param gatherMs how long a step waits for the next one
 */
export function confirmEarly(sql: Db, intake: ReportIntake, gatherMs = REPORT_GATHER_MS): ReportIntake & { close(): Promise<void> } {
  const held = new Map<string, Held>();
  const isWanted = batched(BATCH, (keys: readonly AttemptKey[]) => attemptsIn(sql, keys, WANTED));
  const release = (key: DeviceKey): Report[] => {
    const steps = held.get(nameOf(key));
    if (steps === undefined) return [];
    clearTimeout(steps.timer);
    held.delete(nameOf(key));
    return steps.reports;
  };
  const writeHeld = async (key: DeviceKey) => {
    // Nobody waits for it any more, and a database that is away takes what the device says next.
    await intake.take(key.organizationId, key.deviceId, release(key)).catch(() => undefined);
  };
  return {
    take: async (organizationId, deviceId, reports, sender) => {
      const key = { organizationId, deviceId };
      const deploymentId = confirmingOnly(reports);
      const isEarly = deploymentId !== null && (await isWanted({ ...key, deploymentId }));
      const all = [...release(key), ...reports];
      if (!isEarly) return intake.take(organizationId, deviceId, all, sender);
      held.set(nameOf(key), { key, reports: all, timer: setTimeout(writeHeld, gatherMs, key) });
      return [deploymentId];
    },
    close: async () => {
      await Promise.all([...held.values()].map(({ key }) => writeHeld(key)));
    },
  };
}

/** The attempt that these steps, and nothing else, bring to `confirming`. */
function confirmingOnly(reports: readonly Report[]): string | null {
  const last = reports.at(-1);
  if (last?.kind !== 'deployment' || last.state !== 'confirming' || !UUID.test(last.deploymentId)) return null;
  return reports.every((report) => report.kind === 'deployment' && report.deploymentId === last.deploymentId) ? last.deploymentId : null;
}

/** Those that a device may confirm, and those that it has: as `decideReports` has it. */
const WANTED: readonly DeploymentState[] = [...statesBefore('confirming'), 'confirming', 'succeeded'];
