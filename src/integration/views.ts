import { LRUCache } from 'lru-cache';
import { startDeadline } from '../async/deadline.ts';
import { isProblem, Problem } from '../errors.ts';
import { withoutSecrets } from '../revision/secret/value.ts';
import type { Json } from '../wire/text/json.ts';
import type { Integration } from './integration.ts';
import { openPlatform, type PlatformDeps } from './open.ts';
import { integrationProblem } from './problems.ts';
import type { PushTarget } from './provider.ts';

export type ViewRequest = { integration: Integration; target: PushTarget; view: string; query: Readonly<Record<string, string>> };

/** `at`: when the platform answered. `problem`: why the data are older than they should be; null: they are as fresh as the view's time allows. */
export type ShownView = { data: Json; at: Date; problem: { code: string; detail: string } | null };

/** Read-only views of platforms, kept for the time that each view names. */
export type Views = {
  /**
   * Asks the platform, at most once at a time for the same view. When the platform does not answer, the last answer is better than none.
   * @throws Problem `integration_…` when there is no last answer, or the platform refuses what was asked
   */
  show(request: ViewRequest): Promise<ShownView>;
};

/** A person waits for it. One request of a platform takes 10 s at most. */
const TIMEOUT_MS = 15_000;
/** A last answer that is older shows a device as it is no more. */
const STALE_MS = 86_400_000;
/** One organization cannot push out the views of another: each has a cache of its own. 32 of 2 MiB take 64 MiB. */
const MAX_ORGANIZATIONS = 32;
const MAX_CHARACTERS = 2 * 1024 * 1024;
const MAX_VIEWS = 500;

type Kept = { data: Json; at: Date; size: number };

export function createViews(
  deps: PlatformDeps,
  /** Called with every failure: one of them blocks the integration. */
  onFailure: (integration: Integration, error: unknown) => Promise<unknown>,
  now: () => number = Date.now,
): Views {
  const caches = new LRUCache<string, LRUCache<string, Kept>>({ max: MAX_ORGANIZATIONS });
  const asked = new Map<string, Promise<Kept>>();
  const cacheOf = (organizationId: string) => {
    const cache =
      caches.get(organizationId) ??
      new LRUCache<string, Kept>({ max: MAX_VIEWS, maxSize: MAX_CHARACTERS, sizeCalculation: ({ size }) => size });
    caches.set(organizationId, cache);
    return cache;
  };
  const ask = (request: ViewRequest, key: string): Promise<Kept> => {
    const running = asked.get(key);
    if (running !== undefined) return running;
    const asking = askPlatform(deps, request, now).finally(() => asked.delete(key));
    asked.set(key, asking);
    return asking;
  };
  return {
    show: async (request) => {
      const { integration, view } = request;
      const cacheSeconds = traitsOf(deps, integration, view).cacheSeconds;
      const key = keyOf(request);
      const cache = cacheOf(integration.organizationId);
      const kept = cache.get(key);
      if (kept !== undefined && now() - kept.at.getTime() < cacheSeconds * 1000) return { data: kept.data, at: kept.at, problem: null };
      try {
        const { data, at, size } = await ask(request, key);
        cache.set(key, { data, at, size });
        return { data, at, problem: null };
      } catch (error) {
        await onFailure(integration, error);
        if (kept === undefined || now() - kept.at.getTime() > STALE_MS || !isAway(error)) throw error;
        return { data: kept.data, at: kept.at, problem: { code: error.code, detail: error.message } };
      }
    },
  };
}

function traitsOf({ providers }: PlatformDeps, { type }: Integration, view: string) {
  const { views, title } = providers.of(type);
  const traits = Object.hasOwn(views, view) ? views[view] : undefined;
  if (traits !== undefined) return traits;
  const known = Object.keys(views);
  const allowed = known.length === 0 ? 'it has none' : `must be one of ${known.join(', ')}`;
  throw integrationProblem('integration_unsupported', `Cannot show view "${view}" of ${title}: ${allowed}`);
}

/** New settings or credentials may show another account, so that the version is part of the key. */
function keyOf({ integration: { id, version }, target: { externalId }, view, query }: ViewRequest): string {
  const sorted = Object.entries(query).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([id, version, externalId, view, sorted]);
}

/** Whether the platform does not answer, or not to us. A refusal of what was asked is an answer. */
function isAway(error: unknown): error is Problem {
  return (
    error instanceof Problem &&
    (error.retry !== 'never' || isProblem(error, 'integration_blocked', 'integration_unauthorized', 'integration_protocol'))
  );
}

async function askPlatform(deps: PlatformDeps, { integration, target, view, query }: ViewRequest, now: () => number): Promise<Kept> {
  const late = integrationProblem(
    'integration_timeout',
    `Cannot show view "${view}": the platform of "${integration.name}" did not answer within ${TIMEOUT_MS / 1000} s`,
  );
  const platform = openPlatform(integration, deps);
  const deadline = startDeadline(TIMEOUT_MS, undefined, late);
  try {
    if (platform.view === undefined)
      throw integrationProblem('integration_unsupported', `Cannot show view "${view}": the platform has no views`);
    const data = withoutSecrets(await platform.view(view, target, query, deadline.signal)) as Json;
    return { data, at: new Date(now()), size: Math.max(1, JSON.stringify(data).length) };
  } finally {
    deadline.clear();
    await platform.close?.();
  }
}
