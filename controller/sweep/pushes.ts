import { organizationsWithDuePushes } from '../../src/adapter/pushes-store.ts';
import { transact } from '../../src/event/transact.ts';
import type { Chore } from './sweep.ts';

/** Continues deliveries whose pause is over: platforms that are asked again whether a device runs its bundle, and failed steps. */
export const duePushes: Chore = {
  name: 'due-pushes',
  everySeconds: 1,
  run: async ({ store }) => {
    const organizations = await organizationsWithDuePushes(store.sql);
    if (organizations.length === 0) return;
    await transact(store, async ({ enqueue }) => {
      for (const id of organizations) enqueue('deployment', id);
    });
  },
};
