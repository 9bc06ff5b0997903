import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { connect } from '../../src/db/connect.ts';
import { openEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { openNotifier } from '../../src/db/notifier.ts';
import { openQueue } from '../../src/db/queue.ts';
import { createLog } from '../../src/log.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** `POST` creates a database and answers its URL; `DELETE /<name>` drops one. */
    testDatabases: string;
  }
}

const TEMPLATE = 'bellwether_template';

/**
 * One PostgreSQL for the whole run. It starts when the first test asks for a database, so that runs without such a test are faster. Databases are
 * copies of a migrated template.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  let cluster: Promise<Cluster> | undefined;
  const started = (): Promise<Cluster> => {
    cluster ??= openCluster();
    return cluster;
  };
  const server = await listen(async (method, name) => {
    if (method === 'POST') return (await started()).create();
    await (await started()).drop(name);
    return '';
  });
  project.provide('testDatabases', addressOf(server));
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await (await cluster?.catch(() => undefined))?.close();
  };
}

type Cluster = { create(): Promise<string>; drop(name: string): Promise<void>; close(): Promise<void> };

async function openCluster(): Promise<Cluster> {
  const log = createLog('silent');
  const dir = await mkdtemp(join(tmpdir(), 'bellwether-test-db-'));
  // As root the server runs under another account, which must be able to enter the folder.
  await chmod(dir, 0o711);
  const settings = {
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '400',
    shared_buffers: '64MB',
    autovacuum: 'off',
  };
  const postgres = await openEmbeddedPostgres(dir, log, settings);
  const urlOf = (name: string): string => postgres.url.replace('/bellwether?', `/${name}?`);
  const admin = connect(urlOf('postgres'), { max: 1 });
  await admin`create database ${admin(TEMPLATE)}`;
  await migrate(urlOf(TEMPLATE), log);
  await installQueue(urlOf(TEMPLATE));
  return {
    create: async () => {
      const name = `test_${randomUUID().replaceAll('-', '')}`;
      await admin`create database ${admin(name)} template ${admin(TEMPLATE)}`;
      return urlOf(name);
    },
    drop: async (name) => {
      await admin`drop database if exists ${admin(name)} with (force)`;
    },
    close: async () => {
      await admin.end({ timeout: 1 });
      await postgres.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The queue creates its own tables at its first start, which takes a second. The template does it once for all tests. */
async function installQueue(url: string): Promise<void> {
  const sql = connect(url, { max: 1 });
  const log = createLog('silent');
  const notifier = openNotifier(url, log);
  const queue = await openQueue(url, sql, notifier, log);
  await queue.close();
  await notifier.close();
  await sql.end({ timeout: 1 });
}

async function listen(handle: (method: string, name: string) => Promise<string>): Promise<Server> {
  const server = createServer((request, response) => {
    handle(request.method ?? '', (request.url ?? '').slice(1)).then(
      (body) => response.end(body),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function addressOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return `http://127.0.0.1:${address.port}`;
}
