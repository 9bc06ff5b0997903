import { isAbout, messageOf, Problem } from '../../src/errors.ts';
import { transact } from '../../src/event/transact.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { isSteady, type Source } from '../../src/source/source.ts';
import { claimDueSources, noteUnchanged } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';
import { lookUpHead, recordFailure } from '../reconcile/source.ts';
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
    const found = await lookAt(controller, source);
    if (found === 'unchanged') unchanged.push(source.id);
    else if (found === 'changed') changed.push(source.id);
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

/**
 * A host that does not answer is found out here, where waiting costs no worker, and its source put off. Anything but that, or a clear "same commit
 * as before", is the reconciler's.
 */
async function lookAt(controller: Controller, source: Source): Promise<'unchanged' | 'changed' | 'failed'> {
  const steady = isSteady(source.status) && source.expectedCommit === null && source.headCommit !== null;
  try {
    const { config } = controller;
    const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
    const { oid, movedTo } = await lookUpHead(controller, source, remote);
    return steady && oid === source.headCommit && movedTo === source.movedTo ? 'unchanged' : 'changed';
  } catch (error) {
    if (!(error instanceof Problem) || isAbout(error, 'missing')) return 'changed';
    await recordFailure(controller, source, error).catch((cause: unknown) => {
      controller.log.warn({ sourceId: source.id, err: cause }, `a failed poll is not recorded: ${messageOf(cause)}`);
    });
    return 'failed';
  }
}
