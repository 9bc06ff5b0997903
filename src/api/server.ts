import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { except } from 'hono/combine';
import { cors } from 'hono/cors';
import { HTTPException } from 'hono/http-exception';
import { secureHeaders } from 'hono/secure-headers';
import { isDatabaseAway } from '../db/away.ts';
import { messageOf, Problem } from '../errors.ts';
import { databaseAway, requireDatabase } from '../http/database.ts';
import { createForwardedNotice, type ForwardedNotice } from '../http/forwarded.ts';
import { idempotency } from '../http/idempotency.ts';
import { problemResponse } from '../http/kit.ts';
import { limitBody, limitDepth } from '../http/limits.ts';
import { newId } from '../ids.ts';
import type { Log } from '../log.ts';
import { createPreviews, type Previews } from '../preview/preview.ts';
import { attentionRoutes } from './attention/attention.ts';
import { summaryRoutes } from './attention/summary.ts';
import { dashboardRoutes } from './dashboard.ts';
import { agentRoutes } from './device/agent.ts';
import { deviceAccessRoutes, deviceCommandRoutes } from './device/commands.ts';
import { deviceDeploymentRoutes } from './device/detail/deployment.ts';
import { deviceLogRoutes } from './device/detail/logs.ts';
import { deviceTelemetryRoutes } from './device/detail/telemetry.ts';
import { deviceRoutes } from './device/devices.ts';
import { deviceFileRoutes } from './device/files.ts';
import { deviceBulkRoutes } from './device/fleet/bulk.ts';
import { deviceExportRoutes } from './device/fleet/export.ts';
import { fleetRoutes } from './device/fleet/list.ts';
import { deviceHistoryRoutes } from './device/history.ts';
import { deviceHoldRoutes } from './device/holds.ts';
import { deviceImportRoutes, IMPORT_PATH, MAX_IMPORT_BYTES } from './device/import.ts';
import { devicePreviewRoutes } from './device/preview.ts';
import { reenrolmentRoutes } from './device/reenrolments.ts';
import { deviceStatusRoutes } from './device/status.ts';
import { docsRoutes } from './docs.ts';
import { createApi, type Env } from './env.ts';
import { healthRoutes } from './health.ts';
import { integrationSecretRoutes } from './integration/account/secrets.ts';
import { integrationTestRoutes } from './integration/account/test.ts';
import { assignmentRoutes } from './integration/assignments.ts';
import { conflictRoutes } from './integration/conflicts.ts';
import { integrationHookRoutes } from './integration/hooks.ts';
import { integrationRoutes } from './integration/integrations.ts';
import { providerRoutes } from './integration/providers.ts';
import { integrationStatusRoutes } from './integration/status.ts';
import { integrationSyncRoutes } from './integration/sync.ts';
import { syncLogRoutes } from './integration/sync-log.ts';
import { vendorRoutes } from './integration/vendor.ts';
import { legacyDashboardRoutes } from './legacy/dashboards.ts';
import { legacyDeviceRoutes } from './legacy/devices.ts';
import { legacyIntegrationRoutes } from './legacy/integrations.ts';
import { legacyRegistrationRoutes } from './legacy/registration.ts';
import { notificationDeliveryRoutes } from './notification/deliveries.ts';
import { notificationRoutes } from './notification/notifications.ts';
import { limitStrangers } from './open-pages.ts';
import { serveDescription } from './openapi.ts';
import { auditRoutes } from './organization/audit.ts';
import { eventRoutes } from './organization/events.ts';
import { rootRoutes } from './organization/root.ts';
import { siteRoutes } from './organization/sites.ts';
import { tokenRoutes } from './organization/tokens.ts';
import { planRoutes } from './plan/plans.ts';
import { rolloutCommandRoutes } from './rollout/commands.ts';
import { rolloutDiffRoutes } from './rollout/diff.ts';
import { holdRoutes } from './rollout/holds.ts';
import { rolloutPageRoutes } from './rollout/page.ts';
import { rolloutRoutes } from './rollout/rollouts.ts';
import type { Services } from './services.ts';
import { sessionLinkRoutes } from './session/links.ts';
import { oidcRoutes } from './session/oidc.ts';
import { ownRoutes, signInRoutes } from './session/session.ts';
import { deliveryRoutes } from './source/hook-deliveries.ts';
import { hookRoutes } from './source/hooks.ts';
import { revisionFileRoutes } from './source/revision-file.ts';
import { revisionRoutes } from './source/revisions.ts';
import { sourceRoutes } from './source/sources.ts';
import { webhookInstallRoutes } from './source/webhook-install.ts';

/** Mounts every route of the service. */
export function createServer(services: Services): OpenAPIHono<Env> {
  const app = createApi();
  const { config, log, metrics } = services;
  const forwarded = createForwardedNotice(config.TRUST_PROXY, log, metrics.untrustedForwarded);
  app.use('*', observe(services, forwarded));
  const secure = secureHeaders(SECURE_HEADERS);
  // Only browsers read these headers. Devices send most requests.
  app.use('*', (c, next) => (c.req.path.startsWith('/agent/v1/') ? next() : secure(c, next)));
  app.use('/api/*', ...corsFor(config.CORS_ORIGINS));
  app.onError((error, c) => problemResponse(c, toProblem(log, error, c)));
  app.notFound((c) => problemResponse(c, new Problem('not_found', `Cannot find ${c.req.method} ${c.req.path}`)));
  for (const path of ['/metrics', '/openapi.json', '/docs', '/docs/*']) app.use(path, limitStrangers(services));
  app.route('/', healthRoutes(services, forwarded));
  const database = requireDatabase(services.database, (path) => path === '/agent/v1/desired');
  for (const paths of ['/hooks/*', '/agent/*', '/api/*', '/login/oidc/*']) app.use(paths, database);
  app.route('/', hookRoutes(services));
  app.route('/', integrationHookRoutes(services));
  app.route('/agent/v1', agentRoutes(services));
  const previews = createPreviews(services);
  // Before the operators' routes, which demand a bearer token: devices call `/devices/pending` with their own key.
  app.route('/api/v1', legacyDeviceRoutes(services));
  // Demands the root token.
  app.route('/api/v1', rootRoutes(services));
  // Takes what a person typed, and no credentials in headers.
  app.route('/api/v1', signInRoutes(services));
  app.route('/api/v1', apiRoutes(services, previews));
  app.route('/api', legacyDashboardRoutes({ store: services.store, operatorAuth: services.operatorAuth, previews }));
  app.route('/', oidcRoutes(services));
  app.route('/', dashboardRoutes(config));
  app.route('/docs', docsRoutes());
  app.get('/docs/', (c) => c.redirect('../docs', 308));
  serveDescription(app, services.config);
  return app;
}

/** Every request of the API passes this before its own route. */
function createGuardedApi(services: Services): OpenAPIHono<Env> {
  const api = createApi();
  api.use(
    '*',
    except((c) => c.req.path === `/api/v1${IMPORT_PATH}`, limitBody()),
  );
  api.use('*', services.operatorAuth.require);
  // After the credentials: only authenticated senders may send a body this large.
  api.use(IMPORT_PATH, limitBody(MAX_IMPORT_BYTES));
  api.use('*', limitDepth());
  api.use(
    '*',
    idempotency<Env>(services.store.sql, services.box, (c) => ({
      organizationId: c.get('actor').organizationId,
      actor: c.get('actor').id,
    })),
  );
  return api;
}

function apiRoutes(services: Services, previews: Previews): OpenAPIHono<Env> {
  const api = createGuardedApi(services);
  for (const routes of [
    summaryRoutes,
    sourceRoutes,
    revisionRoutes,
    revisionFileRoutes,
    deliveryRoutes,
    webhookInstallRoutes,
    planRoutes,
    devicesRoutes,
    legacyRegistrationRoutes,
    legacyIntegrationRoutes,
    ownRoutes,
    sessionLinkRoutes,
    tokenRoutes,
    siteRoutes,
    rolloutRoutes,
    rolloutPageRoutes,
    rolloutDiffRoutes,
    rolloutCommandRoutes,
    holdRoutes,
    notificationRoutes,
    notificationDeliveryRoutes,
    // Their fixed paths stand before `/integrations/{id}`.
    providerRoutes,
    integrationTestRoutes,
    integrationStatusRoutes,
    integrationRoutes,
    integrationSecretRoutes,
    integrationSyncRoutes,
    vendorRoutes,
    syncLogRoutes,
    conflictRoutes,
    assignmentRoutes,
    eventRoutes,
    auditRoutes,
  ])
    api.route('/', routes(services));
  api.route('/', devicePreviewRoutes({ store: services.store, previews }));
  api.route('/', attentionRoutes({ store: services.store, previews, log: services.log }));
  return api;
}

function devicesRoutes(services: Services): OpenAPIHono<Env> {
  const api = createApi();
  for (const routes of [
    // Its fixed paths stand before `/devices/{id}`.
    fleetRoutes,
    deviceBulkRoutes,
    deviceExportRoutes,
    deviceRoutes,
    deviceImportRoutes,
    deviceCommandRoutes,
    deviceHoldRoutes,
    deviceAccessRoutes,
    reenrolmentRoutes,
    deviceStatusRoutes,
    deviceFileRoutes,
    deviceHistoryRoutes,
    deviceDeploymentRoutes,
    deviceLogRoutes,
    deviceTelemetryRoutes,
  ])
    api.route('/', routes(services));
  return api;
}

/** First segments of all paths that the process serves, Socket.IO's among them. */
export function rootsOf(app: OpenAPIHono<Env>): Set<string> {
  const segments = app.routes.map(({ path }) => path.split('/')[1] ?? '');
  return new Set([...segments.filter((segment) => /^[a-z]/.test(segment)), 'socket.io']);
}

/** Pages of these origins may call the API with a token. The session cookie is for our own pages: credentials are never allowed here. */
function corsFor(origins: readonly string[]): MiddlewareHandler<Env>[] {
  if (origins.length === 0) return [];
  const exposeHeaders = ['ETag', 'Location', 'Retry-After', 'Link', 'Content-Disposition', 'X-Request-ID', 'Idempotent-Replayed'];
  return [cors({ origin: origins.includes('*') ? '*' : [...origins], exposeHeaders, maxAge: PREFLIGHT_SECONDS })];
}

/** Browsers keep a preflight's answer for this time. */
const PREFLIGHT_SECONDS = 600;

/** No answer is a page, except those of `/docs`, which set their own policy. */
const SECURE_HEADERS = {
  overwrite: false,
  xFrameOptions: 'DENY',
  contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
};

/** Request id, log line and duration of every request. */
function observe({ log, metrics }: Pick<Services, 'log' | 'metrics'>, forwarded: ForwardedNotice): MiddlewareHandler<Env> {
  return async (c, next) => {
    const requestId = newId();
    const started = performance.now();
    c.set('requestId', requestId);
    c.set('log', log);
    forwarded.observe(c.env.incoming);
    await next();
    const durationMs = performance.now() - started;
    // A held poll logs and measures itself when it ends.
    if (c.res === RESPONSE_ALREADY_SENT) return;
    // `c.header` would copy the answer, and turn its body into a stream.
    c.res.headers.set('x-request-id', requestId);
    metrics.httpRequest(c.req.method, c.req.routePath, c.res.status, durationMs);
    log.debug({ requestId, method: c.req.method, path: c.req.path, status: c.res.status, durationMs: Math.round(durationMs) }, 'request');
  };
}

/** SQLSTATEs of values that PostgreSQL cannot store: a NUL, half of a surrogate pair in JSON, JSON too deep, the year 0, a number out of range. */
const UNSTORABLE = /^(22021|22P02|22P05|54001|22007|22008|22003)$/;

function toProblem(log: Log, error: unknown, c: Context<Env>): Problem {
  if (error instanceof Problem) return error;
  const requestId = c.get('requestId');
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (c.req.raw.signal.aborted && (code === '' || code === 'ECONNRESET'))
    return new Problem('request_aborted', 'Cannot read the request: its connection broke', { cause: error });
  if (error instanceof SyntaxError || (error instanceof Error && error.message.startsWith('Malformed JSON'))) {
    return new Problem('malformed_json', 'Cannot read the request: it is not JSON', { cause: error });
  }
  if (error instanceof HTTPException && error.status === 415)
    return new Problem('unsupported_media_type', 'Cannot read the request: its Content-Type must be application/json');
  if (isDatabaseAway(error)) return databaseAway(error);
  if (UNSTORABLE.test(code)) {
    // The database's text quotes the value, which may be secret.
    log.warn({ requestId, code }, 'request rejected: a value cannot be stored');
    return new Problem('invalid_request', 'Cannot accept the request: it has a character or value that cannot be stored', { cause: error });
  }
  log.error({ requestId, err: error }, `request failed: ${messageOf(error)}`);
  return new Problem('internal', `Cannot answer: something is wrong on our side (request ${requestId})`, { cause: error });
}
