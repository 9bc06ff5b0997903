import { linearBackoff } from '../async/backoff.ts';
import { pause } from '../async/pause.ts';
import type { Sql, Tx } from '../db/connect.ts';
import type { Queue, QueueName } from '../db/queue.ts';
import { faultPoint } from '../faults.ts';
import type { NewEvent } from './event.ts';
import { appendEvents, notifyDevices } from './store.ts';

/** PostgreSQL's limit is 8,000 bytes for a notification's payload. */
const NOTIFY_PAYLOAD_BYTES = 7_900;

/** The effects of one transaction besides its rows. All of them take effect at commit, or none. */
export type Unit = {
  tx: Tx;
  emit(event: NewEvent): void;
  enqueue(queue: QueueName, key: string): void;
  /** Wakes the long polls of devices whose desired state or commands changed. */
  wakeDevices(organizationId: string, deviceIds: readonly string[]): void;
};

export type Store = { sql: Sql; queue: Queue };

type Job = { queue: QueueName; key: string };

/** Two transactions wait for each other, and PostgreSQL rolls one of them back. */
const DEADLOCK = '40P01';
const TRIES = 4;
const RETRY_BASE_MS = 10;

/**
 * Runs `work` in a transaction. It writes jobs and wake-ups at the end, and events last, since they take a lock until the commit. After a deadlock
 * it runs `work` again, so that `work` must have no effects but through its unit.
 */
export async function transact<T>(store: Store, work: (unit: Unit) => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await transactOnce(store, work);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === DEADLOCK) || tried === TRIES) throw error;
      await pause(linearBackoff(RETRY_BASE_MS, tried));
    }
  }
}

async function transactOnce<T>(store: Store, work: (unit: Unit) => Promise<T>): Promise<T> {
  const result = await store.sql.begin(async (tx) => {
    const events: NewEvent[] = [];
    const jobs = new Map<string, Job>();
    const woken = new Map<string, Set<string>>();
    const value = await work({
      tx,
      emit: (event) => events.push(event),
      enqueue: (queue, key) => jobs.set(`${queue} ${key}`, { queue, key }),
      wakeDevices: (organizationId, ids) => {
        const set = woken.get(organizationId) ?? new Set();
        for (const id of ids) set.add(id);
        woken.set(organizationId, set);
      },
    });
    const absorbed: Job[] = [];
    for (const job of jobs.values()) if (!(await store.queue.enqueue(tx, job.queue, job.key))) absorbed.push(job);
    for (const [organizationId, ids] of woken) await wakeDevices(tx, organizationId, [...ids]);
    await appendEvents(tx, events);
    faultPoint('before_commit');
    return { value, absorbed };
  });
  faultPoint('after_commit');
  const { value, absorbed } = result as { value: T; absorbed: Job[] };
  // A job that was already queued may have run before the commit, without these rows. Enqueued again now, it starts later or gets a successor.
  // After a crash in between, the next resync runs it.
  for (const job of absorbed) await store.queue.enqueueAgain(job.queue, job.key);
  return value;
}

async function wakeDevices(tx: Tx, organizationId: string, ids: string[]): Promise<void> {
  const payloads = devicePayloads(organizationId, ids);
  if (payloads.length > 0) await notifyDevices(tx, payloads);
}

/** Returns payloads `<organization> <id> <id> …`, as few as the payload limit allows. */
export function devicePayloads(organizationId: string, ids: readonly string[]): string[] {
  const payloads: string[] = [];
  let current = organizationId;
  for (const id of ids) {
    if (current.length + 1 + id.length > NOTIFY_PAYLOAD_BYTES) {
      payloads.push(current);
      current = organizationId;
    }
    current += ` ${id}`;
  }
  if (current !== organizationId) payloads.push(current);
  return payloads;
}
