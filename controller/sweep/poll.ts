import { transact } from '../../src/db/transact.ts';
import { messageOf } from '../../src/errors.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { isSteady, type Source } from '../../src/source/source.ts';
import { claimDueSources, noteUnchanged } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';
import { lookUpHead } from '../reconcile/source.ts';
import type { Chore } from './sweep.ts';

/** Sources per claim. */
const BATCH = 500;
/** Looks under way at once in this process; each host has its own smaller bound. */
const MAX_IN_FLIGHT = 4_000;

/**
 * Looks at the sources that are due. One that is well and unchanged costs one small request and a share of one statement per beat; any other
 * gets its key queued. A beat only starts looks and writes what came back since the last, so that a slow host holds up nobody.
 */
export function createPoll(): Chore & { idle(): Promise<void> } {
  const inFlight = new Set<Promise<void>>();
  let unchanged: string[] = [];
  let changed: string[] = [];
  const look = async (controller: Controller, source: Source) => {
    if (await isUnchanged(controller, source)) unchanged.push(source.id);
    else changed.push(source.id);
  };
  const write = async (controller: Controller) => {
    const [same, other] = [unchanged, changed];
    [unchanged, changed] = [[], []];
    await noteUnchanged(controller.store.sql, same);
    if (other.length === 0) return;
    await transact(controller.store, async ({ enqueue }) => {
      for (const id of other) enqueue('source', id);
    });
  };
  return {
    name: 'poll',
    everySeconds: 0.5,
    run: async (controller) => {
      await write(controller);
      while (inFlight.size < MAX_IN_FLIGHT) {
        const sources = await claimDueSources(controller.store.sql, BATCH);
        for (const source of sources) {
          const looking: Promise<void> = look(controller, source).finally(() => inFlight.delete(looking));
          inFlight.add(looking);
        }
        if (sources.length < BATCH) return;
      }
    },
    idle: async () => {
      await Promise.all(inFlight);
    },
  };
}

/** Anything but a clear "same commit as before" is the reconciler's. */
async function isUnchanged(controller: Controller, source: Source): Promise<boolean> {
  if (!isSteady(source.status) || source.expectedCommit !== null || source.headCommit === null) return false;
  try {
    const { config } = controller;
    const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
    return (await lookUpHead(controller, source, remote)).oid === source.headCommit;
  } catch (error) {
    controller.log.debug({ sourceId: source.id }, `poll failed: ${messageOf(error)}`);
    return false;
  }
}
