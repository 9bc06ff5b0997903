import { around } from '../../src/async/backoff.ts';
import type { Closable } from '../../src/async/lifecycle.ts';
import { pause } from '../../src/async/pause.ts';
import { isDatabaseAway } from '../../src/db/away.ts';
import type { Controller } from '../context.ts';

/** A repeated task. Runs must be safe in parallel with those of other instances. A run may take any time: the next one waits for it. */
export type Chore = { name: string; everySeconds: number; run(controller: Controller): Promise<void> };

/** Runs each chore at its own interval (± 10 %). `close` waits for runs in flight. */
export function startChores(controller: Controller, chores: readonly Chore[]): Closable {
  const stopping = new AbortController();
  const loops = chores.map((chore) => loop(controller, chore, stopping.signal));
  return {
    close: async () => {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

async function loop(controller: Controller, chore: Chore, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await chore.run(controller);
    } catch (error) {
      controller.metrics.choreFailed(chore.name);
      controller.log[isDatabaseAway(error) ? 'debug' : 'error'](
        { chore: chore.name, err: error },
        'failed to run chore; it runs again after its interval',
      );
    }
    await pause(around(chore.everySeconds * 1000), signal);
  }
}
