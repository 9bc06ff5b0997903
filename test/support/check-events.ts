import { checkEventsWith } from '../../src/event/store.ts';
import { misfitOf } from './events.ts';

/** Loaded before a service that runs in a process of its own: an event that does not fit its type ends it. */
checkEventsWith((event) => {
  const misfit = misfitOf(event);
  if (misfit === undefined) return;
  console.error(misfit);
  process.exit(1);
});
