import { isDatabaseAway } from '../db/away.ts';
import type { Sender } from '../device/instances-store.ts';
import type { Store } from '../event/transact.ts';
import { faultPoint } from '../faults.ts';
import { type Report, UNATTENDED } from '../wire/agent.ts';
import { type Ended, ingestReports } from './ingest.ts';

/**
 * Writes simultaneous reports of devices together: while one transaction runs, the next batch gathers. A single device does not wait for others, and
 * ten thousand share a few hundred transactions. Reports without a waiting agent (heartbeats, telemetry, log lines) are delayed for a batch, since they
 * arrive one by one all the time.
 */
export type ReportIntake = {
  /** An empty list still shows that the device is online. @returns ids of the attempts whose `confirming` was accepted, once all reports are committed */
  take(organizationId: string, deviceId: string, reports: Report[], sender?: Sender): Promise<string[]>;
};

type Waiting = {
  deviceId: string;
  reports: Report[];
  sender: Sender | undefined;
  urgent: boolean;
  resolve: (confirmed: string[]) => void;
  reject: (error: unknown) => void;
};

/** `inWork`: devices whose reports are being written. */
type Queue = { waiting: Waiting[]; inWork: Set<string>; running: number; timer: NodeJS.Timeout | undefined };

/** Devices per transaction. */
const BATCH = 200;
/** Concurrent transactions per organization. More would wait for each other's event lock. */
const CONCURRENCY = 2;
/** How long reports that are not urgent wait for a batch. */
const GATHER_MS = 100;

export function createReportIntake(store: Store, onEnded: (ended: Ended[]) => void): ReportIntake {
  const queues = new Map<string, Queue>();
  const isDue = ({ waiting }: Queue) => waiting.length >= BATCH || waiting.some((entry) => entry.urgent);
  const drain = async (organizationId: string, queue: Queue, all: boolean) => {
    queue.running += 1;
    try {
      for (let due = all || isDue(queue); due; due = isDue(queue)) {
        const batch = takeBatch(queue);
        // All waiting reports belong to devices of the other transaction, which continues with them.
        if (batch.length === 0) return;
        for (const { deviceId } of batch) queue.inWork.add(deviceId);
        try {
          await write(store, organizationId, batch, onEnded);
        } finally {
          for (const { deviceId } of batch) queue.inWork.delete(deviceId);
        }
      }
    } finally {
      queue.running -= 1;
      if (queue.waiting.length > 0) arm(organizationId, queue);
      else if (queue.running === 0) {
        clearTimeout(queue.timer);
        queues.delete(organizationId);
      }
    }
  };
  const arm = (organizationId: string, queue: Queue) => {
    queue.timer ??= setTimeout(() => {
      queue.timer = undefined;
      start(organizationId, queue, true);
    }, GATHER_MS);
  };
  const start = (organizationId: string, queue: Queue, all: boolean) => {
    if (queue.running < CONCURRENCY) void drain(organizationId, queue, all);
    else if (all) arm(organizationId, queue);
  };
  return {
    take: (organizationId, deviceId, reports, sender) =>
      new Promise((resolve, reject) => {
        const queue = queues.get(organizationId) ?? { waiting: [], inWork: new Set(), running: 0, timer: undefined };
        queues.set(organizationId, queue);
        const urgent = reports.some((report) => !UNATTENDED.includes(report.kind));
        queue.waiting.push({ deviceId, reports, sender, urgent, resolve, reject });
        if (!isDue(queue)) arm(organizationId, queue);
        else if (queue.running < CONCURRENCY) setImmediate(() => start(organizationId, queue, false));
      }),
  };
}

/**
 * Takes at most one entry per device, and none of a device that is being written. This keeps a device's batches in order, and each gets its own answer.
 * Otherwise one heartbeat would also make a whole batch wait for the other's locks.
 */
function takeBatch({ waiting, inWork }: Queue): Waiting[] {
  const batch = new Map<string, Waiting>();
  const left: Waiting[] = [];
  for (const entry of waiting) {
    if (batch.size < BATCH && !batch.has(entry.deviceId) && !inWork.has(entry.deviceId)) batch.set(entry.deviceId, entry);
    else left.push(entry);
  }
  waiting.splice(0, waiting.length, ...left);
  return [...batch.values()];
}

async function write(store: Store, organizationId: string, batch: readonly Waiting[], onEnded: (ended: Ended[]) => void): Promise<void> {
  try {
    faultPoint('before_reports_taken');
    const { confirmed, ended } = await ingestReports(store, organizationId, batch);
    faultPoint('after_reports_taken');
    for (const { deviceId, resolve } of batch) resolve(confirmed.get(deviceId) ?? []);
    onEnded(ended);
  } catch (error) {
    if (batch.length === 1 || isDatabaseAway(error)) {
      for (const { reject } of batch) reject(error);
      return;
    }
    // One device's reports must not fail those of the others, so each device is retried by itself.
    for (const entry of batch) await write(store, organizationId, [entry], onEnded);
  }
}
