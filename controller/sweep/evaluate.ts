import { transact } from '../../src/event/transact.ts';
import { sourcesToEvaluate } from '../../src/revision/stale-paths-store.ts';
import type { Chore } from './sweep.ts';

/** Wakes sources whose folders need evaluation because their devices changed. */
export const evaluate: Chore = {
  name: 'evaluate',
  everySeconds: 1,
  run: async ({ store }) => {
    const sources = await sourcesToEvaluate(store.sql);
    if (sources.length === 0) return;
    await transact(store, async ({ enqueue }) => {
      for (const id of sources) enqueue('source', id);
    });
  },
};
