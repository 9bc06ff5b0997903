import { checkEventsWith } from '../../src/event/store.ts';
import { misfitOf } from './events.ts';

/** Loaded before a service in a separate process. An event that does not fit its type ends the process. */
checkEventsWith((event) => {
  const misfit = misfitOf(event);
  if (misfit === undefined) return;
  console.error(misfit);
  process.exit(1);
});
