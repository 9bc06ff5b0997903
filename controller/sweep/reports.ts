import { transact } from '../../src/event/transact.ts';
import { takeDueStatuses } from '../../src/plan/post/store.ts';
import { takeDueMergeRequests } from '../../src/plan/store.ts';
import type { Chore } from './sweep.ts';

/** Enqueues due posts to git hosts, first tries and retries alike. */
export const dueReports: Chore = {
  name: 'due-reports',
  everySeconds: 1,
  run: ({ store }) =>
    transact(store, async ({ tx, enqueue }) => {
      for (const id of await takeDueMergeRequests(tx)) enqueue('merge_request', id);
      for (const id of await takeDueStatuses(tx)) enqueue('commit_status', id);
    }),
};
