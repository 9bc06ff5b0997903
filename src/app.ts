import { mkdir, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { createLeases } from './adapter/leases.ts';
import { createAdapters } from './adapter/registry.ts';
import { openDeviceAuth } from './api/auth.ts';
import { createMetrics, type Metrics } from './api/metrics.ts';
import { createOperatorAuth } from './api/operator-auth.ts';
import { createServer, rootsOf } from './api/server.ts';
import type { Services } from './api/services.ts';
import { type Closable, createOpened, type Opened } from './async/lifecycle.ts';
import { createArchives } from './bundle/archives.ts';
import type { Config } from './config.ts';
import { openSecretBox, type SecretBox } from './crypto/secret-box.ts';
import { loadSecretKeys, readSecretKeys } from './crypto/secret-key.ts';
import { hashToken, last4, mintToken } from './crypto/tokens.ts';
import { type Availability, watchDatabase } from './db/availability.ts';
import { connect, type Sql } from './db/connect.ts';
import { openEmbeddedPostgres } from './db/embedded.ts';
import { migrate } from './db/migrate.ts';
import { type Notifier, openNotifier } from './db/notifier.ts';
import { openQueue } from './db/queue.ts';
import { createAdmission } from './delivery/admission.ts';
import { openWakeups } from './delivery/wakeups.ts';
import { createEventBuffer } from './event/buffer.ts';
import type { Store } from './event/transact.ts';
import { createGitHosts } from './git/hosts.ts';
import { addressGuard } from './git/http/address-guard.ts';
import { closeConnections } from './git/http/connections.ts';
import { startCollecting } from './heap.ts';
import { serveBelowBasePath } from './http/base-path.ts';
import { createHttpServer, listen } from './http/listen.ts';
import { createRateLimits } from './http/rate-limit.ts';
import { newId } from './ids.ts';
import { createFirstIntegration } from './integration/first.ts';
import { createIsolation } from './integration/isolation.ts';
import type { PlatformDeps } from './integration/open.ts';
import { BUILT_IN, type Providers } from './integration/registry.ts';
import { openLive } from './live/live.ts';
import type { Log } from './log.ts';
import { createSender } from './notification/delivery/send.ts';
import { DEFAULT_ORGANIZATION } from './organization/organization.ts';
import { loadRootTokenHash } from './organization/root-token.ts';
import { createSigner } from './organization/signing.ts';
import { ensureAdminToken, ensureOrganization } from './organization/store.ts';
import { openPreparer } from './prepare/preparer.ts';
import { confirmEarly } from './report/confirmations.ts';
import { createReportIntake } from './report/intake.ts';
import { createIdentityProvider, type IdentityProvider } from './session/identity-provider.ts';
import { openWorkspaces } from './workspace/workspace.ts';

export type App = {
  /** The address of the server, for example `http://127.0.0.1:8080`. */
  url: string;
  databaseUrl: string;
  services: Services;
  /** Resolves with the reason when the service must be restarted: its own PostgreSQL ended. */
  failed: Promise<string>;
  /** Closes in the reverse order of opening: new work is refused, work in flight ends. Idempotent. */
  close(): Promise<void>;
};

/** Starts the reconcilers and the schedules. The entry point passes it in, because this file must not import the controller. */
export type StartController = (services: Services) => Promise<Closable>;

/** At a stop the handlers of the queue get this time to end. The queue hands back the jobs of the others. */
const DRAIN_MS = 5_000;

/** `providers`: the platforms that integrations may have, for tests. */
export type AppOptions = { providers?: Providers };

/** Opens everything in order. If a step fails, the parts that are open are closed again. */
export async function openApp(
  config: Config,
  log: Log,
  startController: StartController | undefined,
  { providers = BUILT_IN }: AppOptions = {},
): Promise<App> {
  const opened = createOpened((error) => log.error({ err: error }, 'failed to close a part of the service; the others are closed'));
  try {
    const { databaseUrl, failed } = await openPostgres(config, log, opened);
    await migrate(databaseUrl, log);
    const { services, setUrl } = await openServices(config, log, { databaseUrl, providers }, opened);
    const url = await serve(services, opened);
    setUrl(url);
    if (startController !== undefined && config.ROLE !== 'api') opened.add(await startController(services));
    log.info({ url, role: config.ROLE }, 'ready');
    return { url, databaseUrl, services, failed, close: opened.close };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function openPostgres(config: Config, log: Log, opened: Opened): Promise<{ databaseUrl: string; failed: Promise<string> }> {
  // An external database comes back without us.
  if (config.DATABASE_URL !== undefined) return { databaseUrl: config.DATABASE_URL, failed: new Promise(() => undefined) };
  const postgres = opened.add(await openEmbeddedPostgres(config.DATA_DIR, log));
  const failed = postgres.ended.then(() => `the embedded PostgreSQL (process ${postgres.pid}) ended`);
  return { databaseUrl: postgres.url, failed };
}

/** `setUrl`: the address is known once the server listens. */
async function openServices(
  config: Config,
  log: Log,
  { databaseUrl, providers }: { databaseUrl: string; providers: Providers },
  opened: Opened,
) {
  const connections = openConnections(config, log, databaseUrl, opened);
  const { sql, database, notifier } = connections;
  const box = await openBox(config);
  // Closed after the queue: its handlers use it until they are drained.
  const preparer = opened.add(openPreparer(config.GIT_WORKERS));
  const metrics = createMetrics();
  const platforms = openPlatforms(config, { box, providers, metrics }, opened);
  const leases = opened.add(createLeases(sql, platforms, log));
  const store = await openStore(config, log, connections, opened);
  const organizationId = await ensureOrganization(sql, newId(), DEFAULT_ORGANIZATION);
  await openAdminToken(config, sql, organizationId, log);
  let url = '';
  const services: Services = {
    ...{ config, log, store, database, notifier, box, preparer, metrics },
    ...(await openAccess(config, metrics, connections, opened)),
    ...(await openDelivery(connections, log, opened)),
    ...openReports(store, metrics, log, opened),
    ...openOutgoing(config, opened),
    workspaces: await openWorkspaces(join(config.DATA_DIR, 'workspaces')),
    signer: createSigner(sql, box),
    archives: createArchives(sql),
    ...{ platforms, leases },
    adapters: createAdapters({ dataDir: config.DATA_DIR, providers, leases }),
    publicUrl: () => config.PUBLIC_URL ?? url,
  };
  await createFirstIntegration(services, organizationId, config);
  const setUrl = (listening: string) => {
    url = listening;
  };
  return { services, setUrl };
}

type Connections = { sql: Sql; database: Availability; notifier: Notifier; directUrl: string };

function openConnections(config: Config, log: Log, databaseUrl: string, opened: Opened): Connections {
  const directUrl = config.DATABASE_DIRECT_URL ?? databaseUrl;
  const sql = connect(databaseUrl, { max: 10, freshPlans: config.DATABASE_DIRECT_URL === undefined ? 'setting' : 'unprepared' });
  opened.onClose(() => sql.end({ timeout: 2 }));
  const database = opened.add(watchDatabase(databaseUrl, log));
  const notifier = opened.add(openNotifier(directUrl, log));
  return { sql, database, notifier, directUrl };
}

async function openBox({ BELLWETHER_SECRET_KEY: value, DATA_DIR: dataDir }: Config): Promise<SecretBox> {
  // Another process may rotate the key file.
  return openSecretBox(await loadSecretKeys({ value, dataDir }), value === undefined ? () => readSecretKeys(dataDir) : undefined);
}

async function openStore(config: Config, log: Log, { sql, notifier, directUrl }: Connections, opened: Opened): Promise<Store> {
  const options = { soleOwner: config.DATABASE_URL === undefined, works: config.ROLE !== 'api', drainMs: DRAIN_MS };
  const queue = opened.add(await openQueue(directUrl, sql, notifier, log, options));
  return { sql, queue };
}

/** Authentication and limits of callers. */
async function openAccess(config: Config, metrics: Metrics, { sql, notifier }: Connections, opened: Opened) {
  const limits = createRateLimits(config);
  const issuer = config.OIDC_ISSUER ?? null;
  const identityProvider = openIdentityProvider(config, opened);
  const operatorAuth = createOperatorAuth({ sql, limits, config, issuer, metrics });
  const deviceAuth = opened.add(await openDeviceAuth(sql, notifier, limits, config.TRUST_PROXY));
  const rootTokenHash = await loadRootTokenHash({ value: config.BELLWETHER_ROOT_TOKEN, dataDir: config.DATA_DIR });
  return { limits, issuer, identityProvider, operatorAuth, deviceAuth, rootTokenHash };
}

/** The operator chose the address of the provider, which may be a private one. */
function openIdentityProvider(config: Config, opened: Opened): IdentityProvider | null {
  const { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: clientId, PUBLIC_URL: publicUrl, proxies } = config;
  if (issuer === undefined || clientId === undefined || publicUrl === undefined) return null;
  const settings = { ...config, issuer, clientId, callback: `${publicUrl}/login/oidc/callback` };
  return opened.add(createIdentityProvider(settings, addressGuard({ allowPrivate: true, proxies })));
}

/** Long polls, and their admission after a commit. */
async function openDelivery({ sql, notifier }: Connections, log: Log, opened: Opened) {
  const wakeups = await openWakeups(sql, notifier);
  const admission = opened.add(createAdmission());
  opened.add(startCollecting(() => admission.counts().atWork > 0, log));
  return { wakeups, admission };
}

/** The reports of devices, and the events that follow from them. */
function openReports(store: Store, metrics: Metrics, log: Log, opened: Opened) {
  const writing = createReportIntake(store, (ended) => {
    for (const end of ended) {
      metrics.deploymentEnded(end.state);
      if (end.state === 'succeeded') metrics.stages({ deployMs: end.durationMs });
      log.info(end, 'deployment ended');
    }
  });
  const intake = opened.add(confirmEarly(store.sql, writing, log));
  const events = opened.add(createEventBuffer(store.sql, log));
  return { intake, events };
}

/** Requests to git hosts and to the URLs of notifications. */
function openOutgoing(config: Config, opened: Opened) {
  const { proxies, ALLOW_PRIVATE_NOTIFICATION_HOSTS: allowPrivate } = config;
  const senderGuard = addressGuard({ allowPrivate, setting: 'ALLOW_PRIVATE_NOTIFICATION_HOSTS', proxies });
  return {
    hosts: createGitHosts(config.GIT_HOST_CONCURRENCY),
    forgeHosts: createGitHosts(config.GIT_HOST_CONCURRENCY),
    guard: addressGuard({ allowPrivate: config.ALLOW_PRIVATE_GIT_HOSTS, proxies }),
    sender: opened.add(createSender(senderGuard)),
  };
}

/** Requests to the platforms of integrations, with connections of their own. */
function openPlatforms(
  config: Config,
  { box, providers, metrics }: { box: SecretBox; providers: Providers; metrics: Metrics },
  opened: Opened,
): PlatformDeps {
  const { proxies, ALLOW_PRIVATE_INTEGRATION_HOSTS: allowPrivate, ENABLE_EXTERNAL_INTEGRATION: isOn } = config;
  const guard = addressGuard({ allowPrivate, setting: 'ALLOW_PRIVATE_INTEGRATION_HOSTS', proxies });
  opened.onClose(() => closeConnections(guard));
  const isolation = createIsolation({ observe: metrics.platformRequest });
  return { box, guard, providers, isolation, httpsOnly: !allowPrivate, isOff: !isOn };
}

/** Listens for HTTP and Socket.IO. @returns the address */
async function serve(services: Services, opened: Opened): Promise<string> {
  const { config, log, store, database, notifier, metrics, wakeups, admission } = services;
  const routes = createServer(services);
  const server = createHttpServer(routes.fetch, config.HOST, log);
  const live = await openLive({
    httpServer: server,
    sql: store.sql,
    notifier,
    log,
    corsOrigins: config.CORS_ORIGINS,
    authenticate: services.operatorAuth.actorOf,
    rates: services.limits,
    own: config,
  });
  serveBelowBasePath(server, { publicUrl: config.PUBLIC_URL, trustProxy: config.TRUST_PROXY, roots: rootsOf(routes) });
  metrics.watch({
    ...{ sql: store.sql, queue: store.queue, database },
    waitingPolls: () => wakeups.waiting(),
    admission: () => admission.counts(),
    liveConnections: () => live.connections(),
    openCircuits: () => services.platforms.isolation.openCircuits(),
  });
  opened.onClose(async () => {
    // Long polls are answered before connections are closed.
    await wakeups.close();
    await live.close();
    await closeServer(server);
  });
  await listen(server, { host: config.HOST, port: config.PORT });
  return urlOf(server, config.HOST);
}

/** Ensures an admin token: the configured one, or a new one that is written to `DATA_DIR` and shown once. */
async function openAdminToken(config: Config, sql: Sql, organizationId: string, log: Log): Promise<void> {
  const configured = config.BELLWETHER_ADMIN_TOKEN;
  const token = configured ?? mintToken('token');
  const isConfigured = configured !== undefined;
  const inserted = await sql.begin((tx) =>
    ensureAdminToken(tx, organizationId, { id: newId(), hash: hashToken(token), last4: last4(token), isConfigured }),
  );
  if (!inserted || isConfigured) return;
  await mkdir(config.DATA_DIR, { recursive: true });
  const path = join(config.DATA_DIR, 'admin-token');
  await writeFile(path, `${token}\n`, { mode: 0o600 });
  process.stderr.write(`\nAdmin token of organization "${DEFAULT_ORGANIZATION}", shown this once (also in ${path}):\n  ${token}\n\n`);
  log.info({ path }, 'admin token minted');
}

function urlOf(server: Server, host: string): string {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), 2_000).unref();
  });
}
