import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Availability } from '../db/availability.ts';
import { isDatabaseAway } from '../db/away.ts';
import type { Sql } from '../db/connect.ts';
import { failingJobCounts } from '../db/job-failures-store.ts';
import type { Queue } from '../db/queue.ts';
import { deviceCounts } from '../device/store.ts';
import { sourceCounts } from '../source/store.ts';

/** What the service measures of itself, in Prometheus' words. One per process. */
export type Metrics = {
  registry: Registry;
  httpRequest(method: string, route: string, status: number, durationMs: number): void;
  hook(provider: string, verdict: string): void;
  /** A request with X-Forwarded-For while TRUST_PROXY is off. */
  untrustedForwarded(): void;
  gitRequest(operation: string, outcome: string, durationMs: number): void;
  /** Milliseconds of stages by name, from the wake-up to the stored revision and on to the applied device. */
  stages(durationsMs: Record<string, number>): void;
  deploymentEnded(state: string): void;
  /** An attempt to post an event; `outcome` is delivered or failed. */
  notification(format: string, outcome: string, durationMs: number): void;
  /** A job of the queue ended with an error that its handler did not expect. */
  jobFailed(queue: string): void;
  choreFailed(chore: string): void;
  /** Gauges that are read from the database when somebody asks, at most once in `GAUGE_TTL_MS`. */
  watch(source: {
    sql: Sql;
    queue: Queue;
    database: Availability;
    waitingPolls(): number;
    admission(): { atWork: number; waiting: number };
    liveConnections(): number;
  }): void;
};

const GAUGE_TTL_MS = 5_000;
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createMetrics(): Metrics {
  const registry = new Registry();
  // Among them the event loop's delay (nodejs_eventloop_lag_*), memory and CPU.
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const http = new Histogram({
    name: 'bellwether_http_request_seconds',
    help: 'Duration of HTTP requests',
    labelNames: ['method', 'route', 'status'],
    buckets: SECONDS,
    registers,
  });
  const hooks = new Counter({
    name: 'bellwether_hooks_total',
    help: 'Webhook deliveries by verdict',
    labelNames: ['provider', 'verdict'],
    registers,
  });
  const forwarded = new Counter({
    name: 'bellwether_untrusted_forwarded_total',
    help: 'Requests with X-Forwarded-For while TRUST_PROXY is off',
    registers,
  });
  const git = new Histogram({
    name: 'bellwether_git_request_seconds',
    help: 'Git operations by outcome',
    labelNames: ['operation', 'outcome'],
    buckets: SECONDS,
    registers,
  });
  const stage = new Histogram({
    name: 'bellwether_stage_seconds',
    help: 'Stages of a push, from the hook to the applied device',
    labelNames: ['stage'],
    buckets: SECONDS,
    registers,
  });
  const deployments = new Counter({
    name: 'bellwether_deployments_total',
    help: 'Deployments that ended, by state',
    labelNames: ['state'],
    registers,
  });
  const notifications = new Histogram({
    name: 'bellwether_notification_seconds',
    help: 'Attempts to post an event to a notification, by outcome',
    labelNames: ['format', 'outcome'],
    buckets: SECONDS,
    registers,
  });
  const jobs = new Counter({
    name: 'bellwether_job_failures_total',
    help: 'Jobs that ended with an unexpected error',
    labelNames: ['queue'],
    registers,
  });
  const chores = new Counter({
    name: 'bellwether_chore_failures_total',
    help: 'Runs of recurring chores that ended with an error',
    labelNames: ['chore'],
    registers,
  });
  return {
    registry,
    httpRequest: (method, route, status, durationMs) => http.observe({ method, route, status }, durationMs / 1000),
    hook: (provider, verdict) => hooks.inc({ provider, verdict }),
    untrustedForwarded: () => forwarded.inc(),
    gitRequest: (operation, outcome, durationMs) => git.observe({ operation, outcome }, durationMs / 1000),
    stages: (durationsMs) => {
      for (const [name, ms] of Object.entries(durationsMs)) stage.observe({ stage: name.replace(/Ms$/, '') }, ms / 1000);
    },
    deploymentEnded: (state) => deployments.inc({ state }),
    notification: (format, outcome, durationMs) => notifications.observe({ format, outcome }, durationMs / 1000),
    jobFailed: (name) => jobs.inc({ queue: name }),
    choreFailed: (chore) => chores.inc({ chore }),
    watch: (source) => watchGauges(registry, source),
  };
}

function watchGauges(registry: Registry, source: Parameters<Metrics['watch']>[0]): void {
  const registers = [registry];
  const devices = new Gauge({
    name: 'bellwether_devices',
    help: 'Devices by sync status and connectivity',
    labelNames: ['sync_status', 'connectivity'],
    registers,
  });
  const sources = new Gauge({ name: 'bellwether_sources', help: 'Sources by status', labelNames: ['status'], registers });
  const queue = new Gauge({ name: 'bellwether_queue_depth', help: 'Keys that wait for a worker', labelNames: ['queue'], registers });
  const failing = new Gauge({
    name: 'bellwether_jobs_failing',
    help: 'Keys whose jobs failed three times or more in a row',
    labelNames: ['queue'],
    registers,
  });
  let readAt = 0;
  const read = async () => {
    const [deviceRows, sourceRows, depths, failingRows] = await Promise.all([
      deviceCounts(source.sql),
      sourceCounts(source.sql),
      source.queue.depths(),
      failingJobCounts(source.sql),
    ]);
    for (const gauge of [devices, sources, queue, failing]) gauge.reset();
    for (const row of failingRows) failing.set({ queue: row.queue }, row.count);
    for (const row of deviceRows) devices.set({ sync_status: row.syncStatus, connectivity: row.connectivity }, row.count);
    for (const row of sourceRows) sources.set({ status: row.status }, row.count);
    for (const [name, depth] of Object.entries(depths)) queue.set({ queue: name }, depth);
  };
  new Gauge({
    name: 'bellwether_waiting_polls',
    help: 'Devices that wait in a long poll here',
    registers,
    async collect() {
      this.set(source.waitingPolls());
      // Without the database the rest is told all the same, and these as they were.
      if (Date.now() - readAt < GAUGE_TTL_MS || !source.database.isUp()) return;
      readAt = Date.now();
      await read().catch((error: unknown) => {
        if (!isDatabaseAway(error)) throw error;
      });
    },
  });
  new Gauge({
    name: 'bellwether_admission_devices',
    help: 'Devices that were told of a change here and are at work on it, and those that wait for their turn to be told',
    labelNames: ['state'],
    registers,
    collect() {
      const { atWork, waiting } = source.admission();
      this.set({ state: 'at_work' }, atWork);
      this.set({ state: 'waiting' }, waiting);
    },
  });
  new Gauge({
    name: 'bellwether_database_up',
    help: '1 while the database answers',
    registers,
    collect() {
      this.set(source.database.isUp() ? 1 : 0);
    },
  });
  new Gauge({
    name: 'bellwether_live_connections',
    help: 'Dashboards that listen here',
    registers,
    collect() {
      this.set(source.liveConnections());
    },
  });
}
