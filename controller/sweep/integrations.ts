import { transact } from '../../src/event/transact.ts';
import { noteStale } from '../../src/integration/runs/note.ts';
import { integrationsWithDueDevices } from '../../src/integration/store/assignments.ts';
import { claimDueIntegrations } from '../../src/integration/store/services.ts';
import { pruneSyncLog, silentRuns } from '../../src/integration/store/sync-log.ts';
import type { Chore } from './sweep.ts';

/** Integrations per run. */
const BATCH = 100;
const KEEP_DAYS = 30;

/** Enqueues integrations whose interval is over, and those with a run whose process died. */
export const dueIntegrations: Chore = {
  name: 'due-integrations',
  everySeconds: 5,
  run: async ({ store, platforms }) => {
    if (platforms.isOff) return;
    await transact(store, async ({ tx, enqueue }) => {
      for (const { id } of await claimDueIntegrations(tx, BATCH)) enqueue('integration', id);
      for (const id of await silentRuns(tx, BATCH)) enqueue('integration', id);
    });
  },
};

/** Enqueues integrations with devices whose next try is due. */
export const dueDevices: Chore = {
  name: 'due-devices',
  everySeconds: 5,
  run: async ({ store, platforms }) => {
    if (platforms.isOff) return;
    const due = await integrationsWithDueDevices(store.sql, BATCH);
    if (due.length === 0) return;
    await transact(store, async ({ enqueue }) => {
      for (const id of due) enqueue('integration', id);
    });
  },
};

/** Warns of integrations whose last success is too old. */
export const staleIntegrations: Chore = {
  name: 'stale-integrations',
  everySeconds: 30,
  run: ({ store }) => transact(store, (unit) => noteStale(unit)),
};

export const pruneSyncs: Chore = {
  name: 'prune-sync-log',
  everySeconds: 3_600,
  run: ({ store }) => pruneSyncLog(store.sql, KEEP_DAYS),
};
