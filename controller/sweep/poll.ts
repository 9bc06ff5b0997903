import { isAbout, messageOf, Problem } from '../../src/errors.ts';
import { transact } from '../../src/event/transact.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { isSteady, type Source } from '../../src/source/source.ts';
import { claimDueSources, noteUnchanged } from '../../src/source/store.ts';
import type { Controller } from '../context.ts';
import { recordFailure, resolveHead } from '../reconcile/source.ts';
import type { Chore } from './sweep.ts';

/** Sources per claim. */
const BATCH = 500;
/** Checks under way in this process; each host has its own smaller limit. */
const MAX_IN_FLIGHT = 4_000;

/**
 * Checks the sources that are due. A healthy, unchanged source costs one small request and a share of one statement per run. Any other source is
 * enqueued. A run only starts checks and writes the results that arrived since the last run, so that a slow host delays no other.
 */
export function createPoll(): Chore & { idle(): Promise<void> } {
  const inFlight = new Set<Promise<void>>();
  let unchanged: string[] = [];
  let changed: string[] = [];
  const check = async (controller: Controller, source: Source) => {
    const found = await checkHead(controller, source);
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
          const checking: Promise<void> = check(controller, source).finally(() => inFlight.delete(checking));
          inFlight.add(checking);
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
 * Compares the remote head with the stored one. A host that does not answer is detected here, where waiting occupies no worker. Any result other than a
 * failure or an unchanged commit is left to the reconciler.
 */
async function checkHead(controller: Controller, source: Source): Promise<'unchanged' | 'changed' | 'failed'> {
  const steady = isSteady(source.status) && source.expectedCommit === null && source.headCommit !== null;
  try {
    const { config } = controller;
    const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
    const { oid, movedTo } = await resolveHead(controller, source, remote);
    return steady && oid === source.headCommit && movedTo === source.movedTo ? 'unchanged' : 'changed';
  } catch (error) {
    if (!(error instanceof Problem) || isAbout(error, 'missing')) return 'changed';
    await recordFailure(controller, source, error).catch((cause: unknown) => {
      controller.log.warn(
        { sourceId: source.id, err: cause },
        `failed to record a failed poll; the next poll repeats it: ${messageOf(cause)}`,
      );
    });
    return 'failed';
  }
}
