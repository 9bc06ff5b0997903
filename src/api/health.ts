import { Hono } from 'hono';
import { within } from '../async/deadline.ts';
import { type Availability, probeDatabase } from '../db/availability.ts';
import { messageOf } from '../errors.ts';
import type { Store } from '../event/transact.ts';
import { databaseAway } from '../http/database.ts';
import type { ForwardedNotice } from '../http/forwarded.ts';
import type { CircuitState } from '../integration/isolation.ts';
import type { PlatformDeps } from '../integration/open.ts';
import { type IntegrationState, stateOf } from '../integration/runs/state.ts';
import { integrationStates } from '../integration/store/services.ts';
import type { Log } from '../log.ts';
import type { Env } from './env.ts';
import type { Metrics } from './metrics.ts';

const CHECK_TIMEOUT_MS = 2_000;
/** Requests within this time get the same answer. */
const PROBE_SHARED_MS = 500;

/** Integrations that an answer lists. */
const MAX_LISTED = 100;

type Deps = { store: Store; database: Availability; metrics: Metrics; platforms: PlatformDeps; log: Log };

/** `/health*` and `/metrics`: no credentials, nothing secret. Strangers share one probe of the dependencies. */
export function healthRoutes(deps: Deps, { warnings }: ForwardedNotice): Hono<Env> {
  const { registry } = deps.metrics;
  const readiness = shareProbe(deps);
  const app = new Hono<Env>();
  app.get('/health/live', (c) => c.json({ status: 'ok' }));
  for (const path of ['/health', '/health/ready'] as const) {
    app.get(path, async (c) => {
      const answer = { ...(await readiness()), warnings: warnings() };
      return answer.status === 'ok' ? c.json(answer) : c.json(answer, 503, { 'retry-after': '5' });
    });
  }
  app.get('/metrics', async (c) => c.body(await registry.metrics(), 200, { 'content-type': registry.contentType }));
  return app;
}

type Readiness = {
  status: 'ok' | 'unavailable';
  dependencies: Record<'database' | 'queue', DependencyState>;
  /** Platforms that fail leave the service ready: everything local goes on. null: not known. */
  integrations: IntegrationHealth[] | null;
};

type IntegrationHealth = {
  id: string;
  slug: string;
  type: string;
  state: IntegrationState;
  circuit: CircuitState;
  lastSuccessAt: string | null;
};

/** Requests within `PROBE_SHARED_MS` get one answer, unless the database came or went in between. */
function shareProbe(deps: Deps): () => Promise<Readiness> {
  let last: { atMs: number; wasUp: boolean; answer: Promise<Readiness> } | undefined;
  return () => {
    const wasUp = deps.database.isUp();
    if (last === undefined || last.wasUp !== wasUp || performance.now() - last.atMs > PROBE_SHARED_MS)
      last = { atMs: performance.now(), wasUp, answer: probeAll(deps) };
    return last.answer;
  };
}

async function probeAll(deps: Deps): Promise<Readiness> {
  const { store, database: availability } = deps;
  // While the database is known to be away, another query would only wait with the others.
  const probe = (ask: () => Promise<unknown>) => check(availability.isUp() ? ask : () => Promise.reject(databaseAway()));
  const database = await probe(() => probeDatabase(store.sql));
  const queue = await probe(() => store.queue.depths());
  const integrations = database.ok ? await integrationHealth(deps) : null;
  return { status: database.ok && queue.ok ? 'ok' : 'unavailable', dependencies: { database, queue }, integrations };
}

async function integrationHealth({ store, platforms, log }: Deps): Promise<IntegrationHealth[] | null> {
  if (platforms.isOff) return [];
  try {
    const listed = await within(CHECK_TIMEOUT_MS, integrationStates(store.sql, MAX_LISTED));
    if (listed === undefined) return null;
    return listed.map((integration) => {
      const { id, slug, type, lastSuccessAt } = integration;
      const circuit = platforms.isolation.circuitOf(id);
      return { id, slug, type, state: stateOf(integration), circuit, lastSuccessAt: lastSuccessAt?.toISOString() ?? null };
    });
  } catch (error) {
    log.warn({ err: error }, 'failed to read the states of integrations; the health check reports none');
    return null;
  }
}

type DependencyState = { ok: boolean; durationMs: number; error?: string };

async function check(probe: () => Promise<unknown>): Promise<DependencyState> {
  const started = performance.now();
  try {
    const answer = await within(
      CHECK_TIMEOUT_MS,
      probe().then(() => true),
    );
    if (answer === undefined) throw new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`);
    return { ok: true, durationMs: Math.round(performance.now() - started) };
  } catch (error) {
    return { ok: false, durationMs: Math.round(performance.now() - started), error: messageOf(error) };
  }
}
