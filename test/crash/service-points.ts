import { isDeepStrictEqual } from 'node:util';
import { FAULT_POINTS, type FaultPoint } from '../../src/faults.ts';
import type { Verdicts } from './checks.ts';
import { foldersOf, released } from './fleet.ts';
import { within } from './wait.ts';
import type { World } from './world.ts';

const CUT_MS = 120_000;
const SETTLE_MS = 225_000;
/** Other work passes these points, too, since the start. Later passes belong to a push. */
const TIMES: Partial<Record<FaultPoint, readonly number[]>> = {
  before_commit: [1, 3, 5, 8],
  after_commit: [1, 3, 5, 8],
  before_reports_taken: [1, 4],
  after_reports_taken: [1, 4],
  workspace_release_file_written: [1, 3],
  // One device has a gateway: after its configuration was prepared, applied, verified and, for the last, confirmed.
  push_step_taken: [1, 2, 3, 4],
  push_step_kept: [1, 2, 3],
};

/** Each point in the form of `BELLWETHER_FAULT`. Frequent points have several passes. */
export const SERVICE_FAULTS: readonly string[] = FAULT_POINTS.flatMap((point) => (TIMES[point] ?? [1]).map((time) => `${point}#${time}`));

/** The service dies at a point during a push. After its restart, the push reaches every device. */
export async function cutServiceAt({ service, pushes, devices }: World, fault: string, { must }: Verdicts): Promise<void> {
  await service.kill();
  await service.startUntil(fault);
  const folders = foldersOf('fleet');
  await pushes.push('fleet', 'good', folders);
  const cut = await within(CUT_MS, async () => service.hasEnded());
  must(cut, () => `the service never came to ${fault}`);
  if (!cut) await service.kill();
  await service.start();
  await pushes.delivered();
  for (const { device: id } of folders) {
    const wanted = released(pushes.config(id)!);
    const runs = await within(SETTLE_MS, async () => isDeepStrictEqual(await devices.get(id)!.current(), wanted));
    must(runs, () => `the service was cut at ${fault}: ${id} does not run the commit that was pushed`);
  }
}
