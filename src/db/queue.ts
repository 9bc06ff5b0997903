import { createHash, randomBytes } from 'node:crypto';
import { PgBoss } from 'pg-boss';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { isDatabaseAway } from './away.ts';
import { connect, type Db, type Sql } from './connect.ts';
import type { Notifier } from './notifier.ts';
import { type Polls, startPolls } from './polls.ts';

/**
 * Queues of keys. A job says "look at this key again", never what to do: its handler loads the truth, decides, acts, records. Per key there is at most one
 * job active and one waiting, so that a wake-up during the work runs it once more and a storm of wake-ups runs it once.
 */
export type QueueName = 'source' | 'rollout' | 'deployment' | 'workspace' | 'merge_request' | 'commit_status';
export const QUEUE_NAMES: readonly QueueName[] = ['source', 'rollout', 'deployment', 'workspace', 'merge_request', 'commit_status'];

export type Queue = {
  /**
   * Visible to workers when `db`, if it is a transaction, commits.
   * @returns false when a job of the key waits already: that one may start, and end, before the transaction's commit shows it anything
   */
  enqueue(db: Db, queue: QueueName, key: string): Promise<boolean>;
  /** Enqueues once more what was absorbed by a job that may have run before the commit. An error is logged: the transaction has happened. */
  enqueueAgain(queue: QueueName, key: string): Promise<void>;
  /** Handles keys, at most `concurrency` at once in this process. The handler must not throw for what is expected to fail: it records that itself. */
  work(queue: QueueName, concurrency: number, handler: (key: string) => Promise<void>): Promise<void>;
  depths(): Promise<Record<string, number>>;
  /** Announces that this process will soon stop its workers. @returns whether another process works on, as far as the database sees their connections */
  announceShutdown(): Promise<boolean>;
  /** Takes no more work, waits for what is in flight up to `timeoutMs`; what is left is handed back to the queue. */
  close(timeoutMs: number): Promise<void>;
};

export type QueueOptions = {
  /** Nobody else can be working on this database, so that a job which is active belongs to a dead process and is taken over at once. */
  soleOwner?: boolean;
  /** This process will call `work`. */
  works?: boolean;
};

/** What connections of processes that work, and of those that are about to stop, are called, followed by a word of each process's own. */
const WORKING = 'bellwether controller ';
const STOPPING = 'bellwether leaving ';

/** What pg-boss tells of a new job, with the queue's name, when its transaction commits: the channel that its own listener takes for its default schema. */
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
    // Announcements are listened to here: its own listener would let every idle worker ask.
    useListenNotify: false,
    schedule: false,
    superviseIntervalSeconds: 5,
    monitorIntervalSeconds: 5,
  });
  // That the database is away is told once, and not by every worker each second.
  boss.on('error', (error) => log[isDatabaseAway(error) ? 'debug' : 'error']({ err: error }, 'queue'));
  boss.on('warning', (warning) => log.debug({ warning }, 'queue'));
  await boss.start();
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
  if (options.soleOwner) await takeOverJobs(boss);
  const enqueue: Queue['enqueue'] = async (db, queue, key) => {
    const id = await boss.send(
      queue,
      { key },
      {
        singletonKey: key,
        // Prepared, it is one round trip; each lasts as long as the process has other things to do, while the transaction holds its locks.
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
      // Known before the first worker starts: also where one does not, closing must end the polls, or they keep the process alive.
      workers.set(queue, polls);
      listening ??= listen(notifier, workers);
      await listening;
      await work(boss, polls, queue, concurrency, handler, log);
    },
    depths: () => depths(sql),
    announceShutdown: async () => {
      // Stays open until the end: of two processes that stop together, one sees the other.
      stopping ??= connect(databaseUrl, { max: 1, applicationName: STOPPING + processId });
      return hasOtherWorkers(stopping);
    },
    close: async (timeoutMs) => {
      for (const polls of workers.values()) await polls.close();
      await boss.stop({ graceful: true, close: true, timeout: timeoutMs });
      // Where listening failed, `work` threw it already.
      const [listened] = await Promise.allSettled([listening]);
      if (listened.status === 'fulfilled') listened.value?.();
      await stopping?.end({ timeout: 1 });
    },
  };
}

/**
 * Asked for anew rather than failed: a job counts its attempts, and one whose process died of something else a few times would be given up with its
 * wake-up. The new one is there before the old one goes, so that a crash in between loses nothing either.
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

/** Each of the workers by itself, so that one that has done a job polls for the next at once; otherwise `polls` says when one asks. */
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
    log[isDatabaseAway(error) ? 'debug' : 'error']({ queue, key, err: error }, `job failed: ${messageOf(error)}`);
    throw error;
  }
}

async function depths(sql: Sql): Promise<Record<string, number>> {
  const rows = await sql<
    { name: string; waiting: number }[]
  >`select name, count(*)::int as waiting from pgboss.job where state < 'active' group by name`;
  return Object.fromEntries(rows.map((row) => [row.name, row.waiting]));
}

/** A process that died is gone from there as soon as its connections are. */
async function hasOtherWorkers(sql: Sql): Promise<boolean> {
  const [row] = await sql<[{ found: boolean }]>`
    select exists (
      select 1 from pg_stat_activity w where w.datname = current_database() and w.application_name ^@ ${WORKING}
        and not exists (select 1 from pg_stat_activity l where l.application_name = replace(w.application_name, ${WORKING}, ${STOPPING}))
    ) as found`;
  return row.found;
}
