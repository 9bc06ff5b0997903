import { createHash, randomBytes } from 'node:crypto';
import { PgBoss } from 'pg-boss';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { isDatabaseAway } from './away.ts';
import { connect, type Db, type Sql } from './connect.ts';
import type { Notifier } from './notifier.ts';
import { type Polls, startPolls } from './polls.ts';

/**
 * Queues of keys. A job means "check this key again" and carries no instructions: its handler loads the present state, decides, acts and records.
 * Each key has at most one active and one waiting job. A wake-up during the work runs it once more, and many wake-ups run it once.
 */
export type QueueName = 'source' | 'rollout' | 'deployment' | 'workspace' | 'merge_request' | 'commit_status' | 'integration';
export const QUEUE_NAMES: readonly QueueName[] = [
  'source',
  'rollout',
  'deployment',
  'workspace',
  'merge_request',
  'commit_status',
  'integration',
];

export type Queue = {
  /**
   * Adds a job. If `db` is a transaction, workers see the job after its commit.
   * @returns false when a job of the key waits already; that job may start and end before the transaction's changes are visible to it
   */
  enqueue(db: Db, queue: QueueName, key: string): Promise<boolean>;
  /** Enqueues a job again after a waiting job, which may have run before the commit, absorbed it. It logs errors, since the transaction is committed. */
  enqueueAgain(queue: QueueName, key: string): Promise<void>;
  /** Handles keys, at most `concurrency` at once in this process. The handler must not throw for expected failures: it records them itself. */
  work(queue: QueueName, concurrency: number, handler: (key: string) => Promise<void>): Promise<void>;
  depths(): Promise<Record<string, number>>;
  /** Announces that this process will soon stop its workers. @returns whether another process keeps working, judged by its database connections */
  announceShutdown(): Promise<boolean>;
  /** Takes no more work and waits up to `drainMs` for jobs in flight. Jobs that are left return to the queue. */
  close(): Promise<void>;
};

export type QueueOptions = {
  /** No other process can use this database. An active job therefore belongs to a dead process and is taken over at once. */
  soleOwner?: boolean;
  /** This process will call `work`. */
  works?: boolean;
  /** Time for jobs in flight at the end; default 1,000. */
  drainMs?: number;
};

const DRAIN_MS = 1_000;

/** Application names of connections of working and of stopping processes, each followed by a random id of the process. */
const WORKING = 'bellwether controller ';
const STOPPING = 'bellwether leaving ';

/** Channel on which pg-boss notifies of a new job when its transaction commits, with the queue's name as payload. pg-boss derives it from its default schema. */
export const JOBS_CHANNEL = `pgboss_${createHash('sha224').update('pgboss').digest('hex').slice(0, 24)}`;

export async function openQueue(databaseUrl: string, sql: Sql, notifier: Notifier, log: Log, options: QueueOptions = {}): Promise<Queue> {
  const processId = randomBytes(6).toString('hex');
  const workers = new Map<string, Polls>();
  let listening: Promise<() => void> | undefined;
  let stopping: Sql | undefined;
  const boss = new PgBoss({
    connectionString: databaseUrl,
    application_name: options.works ? WORKING + processId : 'bellwether queue',
    max: 6,
    // `polls.ts` handles the notifications: pg-boss's own listener would let every idle worker poll.
    useListenNotify: false,
    schedule: false,
    superviseIntervalSeconds: 5,
    monitorIntervalSeconds: 5,
  });
  // `availability.ts` logs an outage of the database once. Here every worker would log it each second.
  boss.on('error', (error) =>
    log[isDatabaseAway(error) ? 'debug' : 'error']({ err: error }, 'failed to run the job queue; it retries by itself'),
  );
  boss.on('warning', (warning) => log.debug({ warning }, 'job queue warned'));
  await boss.start();
  await createQueues(boss);
  if (options.soleOwner) await takeOverJobs(boss);
  const enqueue: Queue['enqueue'] = async (db, queue, key) => {
    const id = await boss.send(
      queue,
      { key },
      {
        singletonKey: key,
        // A prepared statement needs one round trip instead of two. In a busy process each one lasts long, while the transaction holds its locks.
        db: { executeSql: async (text, values) => ({ rows: await db.unsafe(text, (values ?? []) as never[], { prepare: true }) }) },
      },
    );
    return id !== null;
  };
  return {
    enqueue,
    enqueueAgain: async (queue, key) => {
      await enqueue(sql, queue, key).catch((error: unknown) => {
        const level = isDatabaseAway(error) ? 'debug' : 'error';
        log[level]({ queue, key, err: error }, 'failed to enqueue a job again after its commit; the next resync runs it');
      });
    },
    work: async (queue, concurrency, handler) => {
      const polls = startPolls((id) => boss.notifyWorker(id));
      // Registered before the first worker starts: if a worker fails to start, `close` must still end the polls, or they keep the process alive.
      workers.set(queue, polls);
      listening ??= listen(notifier, workers);
      await listening;
      await work(boss, polls, queue, concurrency, handler, log);
    },
    depths: () => depths(sql),
    announceShutdown: async () => {
      // The connection stays open until the end, so that at least one of two processes that stop together detects the other.
      stopping ??= connect(databaseUrl, { max: 1, applicationName: STOPPING + processId });
      return hasOtherWorkers(stopping);
    },
    close: async () => {
      for (const polls of workers.values()) await polls.close();
      await boss.stop({ graceful: true, close: true, timeout: options.drainMs ?? DRAIN_MS });
      // If listening failed, `work` has already thrown the error.
      const [listened] = await Promise.allSettled([listening]);
      if (listened.status === 'fulfilled') listened.value?.();
      await stopping?.end({ timeout: 1 });
    },
  };
}

async function createQueues(boss: PgBoss): Promise<void> {
  for (const name of QUEUE_NAMES) {
    const settings = {
      policy: 'stately',
      notify: true,
      heartbeatSeconds: 10,
      expireInSeconds: 900,
      retryLimit: 2,
      retryDelay: 0,
      deleteAfterSeconds: 60,
    } as const;
    if ((await boss.getQueue(name)) === null) await boss.createQueue(name, settings);
  }
}

/**
 * Replaces abandoned jobs instead of failing them. pg-boss counts attempts and would drop a job, and its wake-up, after its process died a few times for
 * other reasons. The new job is sent before the old one is cancelled, so that a crash in between loses no wake-up.
 */
async function takeOverJobs(boss: PgBoss): Promise<void> {
  for (const name of QUEUE_NAMES) {
    const abandoned = (await boss.findJobs<{ key: string }>(name)).filter((job) => job.state === 'active');
    for (const { id, data } of abandoned) {
      await boss.send(name, { key: data.key }, { singletonKey: data.key });
      await boss.cancel(name, id);
    }
  }
}

function listen(notifier: Notifier, workers: ReadonlyMap<string, Polls>): Promise<() => void> {
  const announceAll = () => {
    for (const polls of workers.values()) polls.announced();
  };
  return notifier.subscribe(JOBS_CHANNEL, { onNotify: (queue) => workers.get(queue)?.announced(), onMissed: announceAll });
}

/** Starts each worker separately, so that a worker that has finished a job polls for the next one at once. Otherwise `polls` decides when a worker polls. */
async function work(
  boss: PgBoss,
  polls: Polls,
  queue: QueueName,
  concurrency: number,
  handler: (key: string) => Promise<void>,
  log: Log,
): Promise<void> {
  const options = { batchSize: 1, pollingIntervalSeconds: 30 };
  for (let worker = 0; worker < concurrency; worker++) {
    let id = '';
    id = await boss.work<{ key: string }>(queue, options, async (jobs) => {
      polls.busy(id);
      try {
        for (const job of jobs) await handle(queue, job.data.key, handler, log);
      } finally {
        polls.idle(id);
        boss.notifyWorker(id);
      }
    });
    polls.idle(id);
  }
}

async function handle(queue: QueueName, key: string, handler: (key: string) => Promise<void>, log: Log): Promise<void> {
  const started = performance.now();
  try {
    await handler(key);
    log.debug({ queue, key, durationMs: Math.round(performance.now() - started) }, 'job done');
  } catch (error) {
    log[isDatabaseAway(error) ? 'debug' : 'error'](
      { queue, key, err: error },
      `failed to run a job; the queue retries it: ${messageOf(error)}`,
    );
    throw error;
  }
}

async function depths(sql: Sql): Promise<Record<string, number>> {
  const rows = await sql<
    { name: string; waiting: number }[]
  >`select name, count(*)::int as waiting from pgboss.job where state < 'active' group by name`;
  return Object.fromEntries(rows.map((row) => [row.name, row.waiting]));
}

/** PostgreSQL drops the entries of a dead process together with its connections. */
async function hasOtherWorkers(sql: Sql): Promise<boolean> {
  const [row] = await sql<[{ found: boolean }]>`
    select exists (
      select 1 from pg_stat_activity w where w.datname = current_database() and w.application_name ^@ ${WORKING}
        and not exists (select 1 from pg_stat_activity l where l.application_name = replace(w.application_name, ${WORKING}, ${STOPPING}))
    ) as found`;
  return row.found;
}
