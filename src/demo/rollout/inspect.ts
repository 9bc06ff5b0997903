import { z } from 'zod';
import type { Output } from '../output.ts';
import type { Tills } from './tills.ts';

/** Queries about the tills and their rollout. */

const Device = z.object({
  id: z.string(),
  syncStatus: z.string(),
  desired: z.object({ bundle: z.string() }).nullable(),
  reported: z.object({ bundle: z.string() }).nullable(),
});
const Taken = z.object({ deviceId: z.string(), wave: z.number().nullable() });
const Rollout = z.object({
  state: z.string(),
  waves: z.array(z.object({ name: z.string(), succeeded: z.number(), failed: z.number(), passedAt: z.string().nullable() })),
});
export type RolloutState = z.infer<typeof Rollout>;

/** The digest of the bundle that each till reports. '' while the till has another desired bundle. */
export async function runningBundles({ api, sourceId, devices }: Tills): Promise<Map<string, string>> {
  const items = z.array(Device).parse(await api.list('/devices', { source: sourceId }, devices.length));
  return new Map(items.map(({ id, desired, reported }) => [id, desired?.bundle === reported?.bundle ? (reported?.bundle ?? '') : '']));
}

/** Ids of the tills that the rollout has taken, by wave or in all. */
export async function takenBy({ api, devices }: Tills, rolloutId: string, wave?: number): Promise<string[]> {
  const items = z.array(Taken).parse(await api.list(`/rollouts/${rolloutId}/devices`, { wave }, devices.length));
  return items.map(({ deviceId }) => deviceId);
}

/** The rollout as it is now, shown as a table. */
export async function showWaves({ api }: Tills, out: Output, rolloutId: string): Promise<RolloutState> {
  const rollout = Rollout.parse(await api.get(`/rollouts/${rolloutId}`));
  out.table(
    [
      { title: 'WAVE', value: ({ name }) => String(name) },
      { title: 'APPLIED', value: ({ succeeded }) => String(succeeded) },
      { title: 'FAILED', value: ({ failed }) => String(failed) },
      { title: 'GATE', value: ({ passedAt }) => (passedAt === null ? 'not passed' : 'passed') },
    ],
    rollout.waves,
  );
  return rollout;
}
