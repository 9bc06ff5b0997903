import { z } from 'zod';
import type { Output } from '../output.ts';
import type { Flock } from './stage.ts';

/** What the service knows of the tills and of a rollout, asked anew. */

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
export type RolloutLook = z.infer<typeof Rollout>;

/** Digest of what each till says it runs; '' where it is told to run something else. */
export async function lookAtTills({ api, sourceId, devices }: Flock): Promise<Map<string, string>> {
  const items = z.array(Device).parse(await api.list('/devices', { source: sourceId }, devices.length));
  return new Map(items.map(({ id, desired, reported }) => [id, desired?.bundle === reported?.bundle ? (reported?.bundle ?? '') : '']));
}

/** Ids of the tills that the rollout has taken, by wave or in all. */
export async function takenBy({ api, devices }: Flock, rolloutId: string, wave?: number): Promise<string[]> {
  const items = z.array(Taken).parse(await api.list(`/rollouts/${rolloutId}/devices`, { wave }, devices.length));
  return items.map(({ deviceId }) => deviceId);
}

/** The rollout as it is now, shown as a table. */
export async function showWaves({ api }: Flock, out: Output, rolloutId: string): Promise<RolloutLook> {
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
