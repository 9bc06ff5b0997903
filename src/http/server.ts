import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { except } from 'hono/combine';
import { cors } from 'hono/cors';
import { HTTPException } from 'hono/http-exception';
import { secureHeaders } from 'hono/secure-headers';
import { auditRoutes } from '../audit/routes.ts';
import { deviceActionRoutes } from '../device/action-routes.ts';
import { agentRoutes } from '../device/agent-routes.ts';
import { deviceHistoryRoutes } from '../device/history-routes.ts';
import { deviceImportRoutes, IMPORT_PATH, MAX_IMPORT_BYTES } from '../device/import-routes.ts';
import { devicePreviewRoutes } from '../device/preview-routes.ts';
import { createPreviews, type Previews } from '../device/previews.ts';
import { deviceRoutes } from '../device/routes.ts';
import { seedDashboardRoutes, seedSiteRoutes } from '../device/seed-operator-routes.ts';
import { seedDeviceRoutes } from '../device/seed-routes.ts';
import { messageOf, Problem } from '../errors.ts';
import { eventRoutes } from '../event/routes.ts';
import { newId } from '../ids.ts';
import { notificationDeliveryRoutes } from '../notification/delivery-routes.ts';
import { notificationRoutes } from '../notification/routes.ts';
import { organizationRoutes } from '../organization/routes.ts';
import { holdRoutes } from '../rollout/hold-routes.ts';
import { rolloutRoutes } from '../rollout/routes.ts';
import { deliveryRoutes } from '../source/delivery-routes.ts';
import { hookRoutes } from '../source/hook-routes.ts';
import { sourceRoutes } from '../source/routes.ts';
import { webhookInstallRoutes } from '../source/webhook-install-routes.ts';
import { createApi, type Env, problemResponse } from './api.ts';
import { requireActor } from './auth.ts';
import { docsRoutes } from './docs.ts';
import { healthRoutes } from './health.ts';
import { idempotency } from './idempotency.ts';
import { limitBody } from './limits.ts';
import { serveDescription } from './openapi.ts';
import type { Services } from './services.ts';

/** Mounts every route of the service. */
export function createServer(services: Services): OpenAPIHono<Env> {
  const app = createApi();
  app.use('*', observe(services));
  const secure = secureHeaders();
  // They speak to browsers; a device is none, and asks most often.
  app.use('*', (c, next) => (c.req.path.startsWith('/agent/v1/') ? next() : secure(c, next)));
  app.onError((error, c) => problemResponse(c, toProblem(services, error, c.get('requestId'))));
  app.notFound((c) => problemResponse(c, new Problem('not_found', `Cannot find ${c.req.method} ${c.req.path}`, { status: 404 })));
  app.route('/', healthRoutes(services));
  app.route('/', hookRoutes(services));
  app.route('/agent/v1', agentRoutes(services));
  const previews = createPreviews(services);
  // Before the operators' routes, which demand a bearer token: `/devices/pending` is a device's.
  app.route('/api/v1', seedDeviceRoutes(services));
  app.route('/api/v1', apiRoutes(services, previews));
  app.route('/api', seedDashboardRoutes(services, previews));
  app.route('/docs', docsRoutes());
  serveDescription(app);
  return app;
}

function apiRoutes(services: Services, previews: Previews): OpenAPIHono<Env> {
  const api = createApi();
  const { CORS_ORIGINS } = services.config;
  if (CORS_ORIGINS.length > 0) api.use('*', cors({ origin: CORS_ORIGINS, exposeHeaders: ['ETag', 'Location', 'Retry-After'] }));
  api.use(
    '*',
    except((c) => c.req.path === `/api/v1${IMPORT_PATH}`, limitBody()),
  );
  api.use('*', requireActor(services.store.sql, services.limits, services.config.TRUST_PROXY));
  // Larger, and so only for those who may send it.
  api.use(IMPORT_PATH, limitBody(MAX_IMPORT_BYTES));
  api.use('*', idempotency(services.store.sql, services.box));
  for (const routes of [
    sourceRoutes,
    deliveryRoutes,
    webhookInstallRoutes,
    deviceRoutes,
    deviceImportRoutes,
    deviceActionRoutes,
    deviceHistoryRoutes,
    seedSiteRoutes,
    organizationRoutes,
    rolloutRoutes,
    holdRoutes,
    notificationRoutes,
    notificationDeliveryRoutes,
    eventRoutes,
    auditRoutes,
  ])
    api.route('/', routes(services));
  api.route('/', devicePreviewRoutes(services, previews));
  return api;
}

/** Request id, log line and duration of every request. */
function observe({ log, metrics }: Services): MiddlewareHandler<Env> {
  return async (c, next) => {
    const requestId = newId();
    const started = performance.now();
    c.set('requestId', requestId);
    c.set('log', log.child({ requestId }));
    await next();
    const durationMs = performance.now() - started;
    // It is told when it ends: a poll that waits for a change.
    if (c.res === RESPONSE_ALREADY_SENT) return;
    // Not `c.header`, which would copy the answer, its body as a stream.
    c.res.headers.set('x-request-id', requestId);
    metrics.httpRequest(c.req.method, c.req.routePath, c.res.status, durationMs);
    c.get('log').debug({ method: c.req.method, path: c.req.path, status: c.res.status, durationMs: Math.round(durationMs) }, 'request');
  };
}

/** SQLSTATEs and socket errors that mean "the database is away", not "we did wrong". */
const DATABASE_AWAY = /^(08|57P0|53)|^(ECONNREFUSED|ECONNRESET|ENOENT|CONNECTION_|CONNECT_TIMEOUT)/;

/** SQLSTATEs of values that PostgreSQL does not hold: a NUL, half of a surrogate pair in JSON, JSON too deep, the year 0, a number out of range. */
const UNSTORABLE = /^(22021|22P02|22P05|54001|22007|22008|22003)$/;

function toProblem({ log }: Services, error: unknown, requestId: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof SyntaxError || (error instanceof Error && error.message.startsWith('Malformed JSON'))) {
    return new Problem('malformed_json', 'Cannot read the request: it is not JSON', { status: 400, cause: error });
  }
  if (error instanceof HTTPException && error.status === 415)
    return new Problem('unsupported_media_type', 'Cannot read the request: its Content-Type must be application/json', { status: 415 });
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (DATABASE_AWAY.test(code))
    return new Problem('unavailable', 'Cannot answer now: the database is away', { status: 503, retryAfterSeconds: 5, cause: error });
  if (UNSTORABLE.test(code)) {
    // Its text would quote what was sent, which may be secret.
    log.warn({ requestId, code }, 'a request has a value that the database does not hold');
    return new Problem('invalid_request', 'Cannot accept the request: it has a character or value that cannot be stored', {
      status: 400,
      cause: error,
    });
  }
  log.error({ requestId, err: error }, `request failed: ${messageOf(error)}`);
  return new Problem('internal', `Cannot answer: something is wrong on our side (request ${requestId})`, { status: 500, cause: error });
}
