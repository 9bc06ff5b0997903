import type { Store } from '../db/transact.ts';
import type { Report } from '../wire/agent.ts';
import { type Ended, ingestReports } from './ingest.ts';

/**
 * Takes reports of devices as they come and writes those of the same moment together: while one transaction runs, the next batch gathers. One
 * device alone waits for nobody; ten thousand share a few hundred transactions.
 */
export type ReportIntake = {
  /** No reports at all still say that the device is there. @returns ids of the attempts whose `confirming` was accepted; resolves once everything is committed */
  take(organizationId: string, deviceId: string, reports: Report[]): Promise<string[]>;
};

type Waiting = { deviceId: string; reports: Report[]; resolve: (confirmed: string[]) => void; reject: (error: unknown) => void };

/** Devices per transaction. */
const BATCH = 200;
/** Transactions at once per organization: they would wait for each other's event lock anyway. */
const LANES = 2;

export function createReportIntake(store: Store, onEnded: (ended: Ended[]) => void): ReportIntake {
  const queues = new Map<string, { waiting: Waiting[]; running: number }>();
  const drain = async (organizationId: string, queue: { waiting: Waiting[]; running: number }) => {
    queue.running += 1;
    try {
      while (queue.waiting.length > 0) await write(store, organizationId, takeBatch(queue.waiting), onEnded);
    } finally {
      queue.running -= 1;
      if (queue.running === 0 && queue.waiting.length === 0) queues.delete(organizationId);
    }
  };
  return {
    take: (organizationId, deviceId, reports) =>
      new Promise((resolve, reject) => {
        const queue = queues.get(organizationId) ?? { waiting: [], running: 0 };
        queues.set(organizationId, queue);
        queue.waiting.push({ deviceId, reports, resolve, reject });
        if (queue.running < LANES) setImmediate(() => void drain(organizationId, queue));
      }),
  };
}

/** At most one entry per device, so that a device's batches stay in order and each gets its own answer. */
function takeBatch(waiting: Waiting[]): Waiting[] {
  const batch = new Map<string, Waiting>();
  const left: Waiting[] = [];
  for (const entry of waiting) {
    if (batch.size < BATCH && !batch.has(entry.deviceId)) batch.set(entry.deviceId, entry);
    else left.push(entry);
  }
  waiting.splice(0, waiting.length, ...left);
  return [...batch.values()];
}

async function write(store: Store, organizationId: string, batch: readonly Waiting[], onEnded: (ended: Ended[]) => void): Promise<void> {
  try {
    const { confirmed, ended } = await ingestReports(store, organizationId, batch);
    for (const { deviceId, resolve } of batch) resolve(confirmed.get(deviceId) ?? []);
    onEnded(ended);
  } catch (error) {
    if (batch.length === 1) return batch[0]?.reject(error);
    // One device's reports must not fail those of the others: each again by itself.
    for (const entry of batch) await write(store, organizationId, [entry], onEnded);
  }
}
