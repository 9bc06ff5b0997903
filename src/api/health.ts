import { Hono } from 'hono';
import { within } from '../async/deadline.ts';
import { type Availability, probeDatabase } from '../db/availability.ts';
import { messageOf } from '../errors.ts';
import type { Store } from '../event/transact.ts';
import { databaseAway } from '../http/database.ts';
import type { ForwardedNotice } from '../http/forwarded.ts';
import type { Env } from './env.ts';
import type { Metrics } from './metrics.ts';

const CHECK_TIMEOUT_MS = 2_000;
/** Requests within this time get the same answer. */
const PROBE_SHARED_MS = 500;

type Deps = { store: Store; database: Availability; metrics: Metrics };

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

type Readiness = { status: 'ok' | 'unavailable'; dependencies: Record<'database' | 'queue', DependencyState> };

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

async function probeAll({ store, database: availability }: Deps): Promise<Readiness> {
  // While the database is known to be away, another query would only wait with the others.
  const probe = (ask: () => Promise<unknown>) => check(availability.isUp() ? ask : () => Promise.reject(databaseAway()));
  const database = await probe(() => probeDatabase(store.sql));
  const queue = await probe(() => store.queue.depths());
  return { status: database.ok && queue.ok ? 'ok' : 'unavailable', dependencies: { database, queue } };
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
