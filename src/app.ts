import { mkdir, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { createAdapters } from './adapter/registry.ts';
import { createTokenAuth, openDeviceAuth } from './api/auth.ts';
import { createMetrics } from './api/metrics.ts';
import { createServer, rootsOf } from './api/server.ts';
import type { Services } from './api/services.ts';
import { type Closable, createOpened, type Opened } from './async/lifecycle.ts';
import { createArchives } from './bundle/archives.ts';
import type { Config } from './config.ts';
import { openSecretBox } from './crypto/secret-box.ts';
import { loadSecretKeys, readSecretKeys } from './crypto/secret-key.ts';
import { hashToken, last4, mintToken } from './crypto/tokens.ts';
import { watchDatabase } from './db/availability.ts';
import { connect } from './db/connect.ts';
import { openEmbeddedPostgres } from './db/embedded.ts';
import { migrate } from './db/migrate.ts';
import { openNotifier } from './db/notifier.ts';
import { openQueue } from './db/queue.ts';
import { createAdmission } from './delivery/admission.ts';
import { openWakeups } from './delivery/wakeups.ts';
import { createEventBuffer } from './event/buffer.ts';
import { createGitHosts } from './git/hosts.ts';
import { addressGuard } from './git/http/address-guard.ts';
import { startCollecting } from './heap.ts';
import { serveBelowBasePath } from './http/base-path.ts';
import { createHttpServer, listen } from './http/listen.ts';
import { createRateLimits } from './http/rate-limit.ts';
import { newId } from './ids.ts';
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
import { openWorkspaces } from './workspace/workspace.ts';

export type App = {
  /** Where it listens, for example `http://127.0.0.1:8080`. */
  url: string;
  databaseUrl: string;
  services: Services;
  /** Resolves with the reason when the service cannot go on and is to be started again: its own PostgreSQL ended. */
  failed: Promise<string>;
  /** Stops in the reverse order of opening: no new work, what is in flight ends, everything closes. Idempotent. */
  close(): Promise<void>;
};

/** What happens over time; started by the entry point, since nothing below may import it. */
export type StartController = (services: Services) => Promise<Closable>;

/** How long a queue's handlers may take to end at a stop; what is left is handed back. */
const DRAIN_MS = 5_000;

/** Opens everything in order; when a step fails, what was opened is closed again. */
export async function openApp(config: Config, log: Log, startController: StartController | undefined): Promise<App> {
  const opened = createOpened((error) => log.error({ err: error }, 'failed to close a part of the service; the others are closed'));
  try {
    const { services, databaseUrl, failed, server, url } = await open(config, log, opened);
    if (startController !== undefined && config.ROLE !== 'api') {
      opened.add(await startController(services));
    }
    log.info({ url, role: config.ROLE, listening: server.listening }, 'ready');
    return { url, databaseUrl, services, failed, close: opened.close };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function open(config: Config, log: Log, opened: Opened) {
  const { databaseUrl, failed } = await openDatabase(config, log, opened);
  await migrate(databaseUrl, log);
  const sql = connect(databaseUrl, { max: 10, freshPlans: config.DATABASE_DIRECT_URL === undefined ? 'setting' : 'unprepared' });
  opened.onClose(() => sql.end({ timeout: 2 }));
  const directUrl = config.DATABASE_DIRECT_URL ?? databaseUrl;
  const database = opened.add(watchDatabase(databaseUrl, log));
  const notifier = opened.add(openNotifier(directUrl, log));
  const { BELLWETHER_SECRET_KEY: value, DATA_DIR: dataDir } = config;
  // The key file may be rotated beside us.
  const box = openSecretBox(await loadSecretKeys({ value, dataDir }), value === undefined ? () => readSecretKeys(dataDir) : undefined);
  // Below the queue: its handlers work with it until they are drained.
  const preparer = opened.add(openPreparer(config.GIT_WORKERS));
  const queue = await openQueue(directUrl, sql, notifier, log, {
    soleOwner: config.DATABASE_URL === undefined,
    works: config.ROLE !== 'api',
  });
  opened.onClose(() => queue.close(DRAIN_MS));
  const store = { sql, queue };
  const organizationId = await ensureOrganization(sql, newId(), DEFAULT_ORGANIZATION);
  await openAdminToken(config, sql, organizationId, log);
  const workspaces = await openWorkspaces(join(config.DATA_DIR, 'workspaces'));
  const limits = createRateLimits(config);
  const tokenAuth = createTokenAuth(sql, limits, config.TRUST_PROXY);
  const deviceAuth = opened.add(await openDeviceAuth(sql, notifier, limits, config.TRUST_PROXY));
  const wakeups = await openWakeups(sql, notifier);
  const admission = opened.add(createAdmission());
  opened.add(startCollecting(() => admission.counts().atWork > 0, log));
  const metrics = createMetrics();
  const writing = createReportIntake(store, (ended) => {
    for (const end of ended) {
      metrics.deploymentEnded(end.state);
      if (end.state === 'succeeded') metrics.stages({ deployMs: end.durationMs });
      log.info(end, 'deployment ended');
    }
  });
  const intake = opened.add(confirmEarly(sql, writing, log));
  const events = opened.add(createEventBuffer(sql, log));
  const sender = createSender(
    addressGuard({
      allowPrivate: config.ALLOW_PRIVATE_NOTIFICATION_HOSTS,
      setting: 'ALLOW_PRIVATE_NOTIFICATION_HOSTS',
      proxies: config.proxies,
    }),
  );
  opened.add(sender);
  let url = '';
  const services: Services = {
    store,
    database,
    notifier,
    config,
    log,
    box,
    hosts: createGitHosts(config.GIT_HOST_CONCURRENCY),
    forgeHosts: createGitHosts(config.GIT_HOST_CONCURRENCY),
    guard: addressGuard({ allowPrivate: config.ALLOW_PRIVATE_GIT_HOSTS, proxies: config.proxies }),
    preparer,
    workspaces,
    metrics,
    limits,
    signer: createSigner(sql, box),
    wakeups,
    admission,
    tokenAuth,
    rootTokenHash: await loadRootTokenHash({ value: config.BELLWETHER_ROOT_TOKEN, dataDir: config.DATA_DIR }),
    deviceAuth,
    intake,
    events,
    archives: createArchives(sql),
    adapters: createAdapters({ dataDir: config.DATA_DIR }),
    sender,
    publicUrl: () => config.PUBLIC_URL ?? url,
  };
  const routes = createServer(services);
  const server = createHttpServer(routes.fetch, config.HOST, log);
  const live = await openLive({
    httpServer: server,
    sql,
    notifier,
    log,
    corsOrigins: config.CORS_ORIGINS,
    authenticate: tokenAuth.actorOf,
    rates: limits,
    trustProxy: config.TRUST_PROXY,
  });
  serveBelowBasePath(server, { publicUrl: config.PUBLIC_URL, trustProxy: config.TRUST_PROXY, roots: rootsOf(routes) });
  metrics.watch({
    sql,
    queue,
    database,
    waitingPolls: () => wakeups.waiting(),
    admission: () => admission.counts(),
    liveConnections: () => live.connections(),
  });
  opened.onClose(async () => {
    // Long polls are answered before connections are closed.
    await wakeups.close();
    await live.close();
    await closeServer(server);
  });
  await listen(server, { host: config.HOST, port: config.PORT });
  url = urlOf(server, config.HOST);
  return { services, databaseUrl, failed, server, url };
}

async function openDatabase(config: Config, log: Log, opened: Opened): Promise<{ databaseUrl: string; failed: Promise<string> }> {
  // A database of somebody else's comes back by itself, or is brought back.
  if (config.DATABASE_URL !== undefined) return { databaseUrl: config.DATABASE_URL, failed: new Promise(() => undefined) };
  const postgres = opened.add(await openEmbeddedPostgres(config.DATA_DIR, log));
  const failed = postgres.ended.then(() => `the embedded PostgreSQL (process ${postgres.pid}) ended`);
  return { databaseUrl: postgres.url, failed };
}

/** The first admin token: the configured one, or one that is minted, written beside the data and said once. */
async function openAdminToken(config: Config, sql: Services['store']['sql'], organizationId: string, log: Log): Promise<void> {
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
