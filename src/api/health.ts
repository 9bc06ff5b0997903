import { Hono } from 'hono';
import { within } from '../async/deadline.ts';
import { probeDatabase } from '../db/availability.ts';
import { messageOf } from '../errors.ts';
import { databaseAway } from '../http/database.ts';
import type { ForwardedNotice } from '../http/forwarded.ts';
import type { Env } from './env.ts';
import type { Services } from './services.ts';

const CHECK_TIMEOUT_MS = 2_000;
/** Requests within this time get the same answer. */
const PROBE_SHARED_MS = 500;

/** `/health*` and `/metrics`: no credentials, nothing secret. Strangers share one probe of the dependencies. */
export function healthRoutes({ store, database: availability, metrics }: Services, { warnings }: ForwardedNotice): Hono<Env> {
  const app = new Hono<Env>();
  app.get('/health/live', (c) => c.json({ status: 'ok' }));
  const probeAll = async () => {
    // While the database is known to be away, another query would only wait with the others.
    const probe = (ask: () => Promise<unknown>) => check(availability.isUp() ? ask : () => Promise.reject(databaseAway()));
    const database = await probe(() => probeDatabase(store.sql));
    const queue = await probe(() => store.queue.depths());
    return { status: database.ok && queue.ok ? 'ok' : 'unavailable', dependencies: { database, queue } };
  };
  let last: { atMs: number; wasUp: boolean; answer: ReturnType<typeof probeAll> } | undefined;
  const ready = async () => {
    const wasUp = availability.isUp();
    if (last === undefined || last.wasUp !== wasUp || performance.now() - last.atMs > PROBE_SHARED_MS)
      last = { atMs: performance.now(), wasUp, answer: probeAll() };
    return { ...(await last.answer), warnings: warnings() };
  };
  for (const path of ['/health', '/health/ready'] as const) {
    app.get(path, async (c) => {
      const answer = await ready();
      return answer.status === 'ok' ? c.json(answer) : c.json(answer, 503, { 'retry-after': '5' });
    });
  }
  app.get('/metrics', async (c) => c.body(await metrics.registry.metrics(), 200, { 'content-type': metrics.registry.contentType }));
  return app;
}

async function check(probe: () => Promise<unknown>): Promise<{ ok: boolean; durationMs: number; error?: string }> {
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
