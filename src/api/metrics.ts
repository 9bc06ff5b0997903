import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Availability } from '../db/availability.ts';
import { isDatabaseAway } from '../db/away.ts';
import type { Sql } from '../db/connect.ts';
import { failingJobCounts } from '../db/job-failures-store.ts';
import type { Queue } from '../db/queue.ts';
import { deviceCounts } from '../device/store.ts';
import type { ObservedCall } from '../integration/isolation.ts';
import { stateOf } from '../integration/runs/state.ts';
import { integrationStates } from '../integration/store/services.ts';
import { sourceCounts } from '../source/store.ts';

/** Metrics of this process in Prometheus' format. */
export type Metrics = {
  registry: Registry;
  httpRequest(method: string, route: string, status: number, durationMs: number): void;
  hook(provider: string, verdict: string): void;
  /** A request with X-Forwarded-For while TRUST_PROXY is off. */
  untrustedForwarded(): void;
  /** A request with a session that did not come from our own page. */
  crossOriginRefused(reason: string): void;
  gitRequest(operation: string, outcome: string, durationMs: number): void;
  /** Durations of stages by name, from the wake-up to the stored revision and to the applied device. */
  stages(durationsMs: Record<string, number>): void;
  deploymentEnded(state: string): void;
  /** An attempt to post an event; `outcome` is delivered or failed. */
  notification(format: string, outcome: string, durationMs: number): void;
  /** A request to the platform of an integration; `outcome` is ok, or an error code without `integration_`. */
  platformRequest(call: ObservedCall): void;
  /** A sync of an integration ended; `outcome` is succeeded or failed. */
  integrationRun(type: string, outcome: string, durationMs: number): void;
  /** A job of the queue ended with an error that its handler did not expect. */
  jobFailed(queue: string): void;
  choreFailed(chore: string): void;
  /** Registers the gauges. A scrape reads those of the database at most once in `GAUGE_TTL_MS`. */
  watch(source: GaugeSource): void;
};

export type GaugeSource = {
  sql: Sql;
  queue: Queue;
  database: Availability;
  waitingPolls(): number;
  admission(): { atWork: number; waiting: number };
  liveConnections(): number;
  /** Circuits of integrations that are not closed in this process. */
  openCircuits(): number;
};

const GAUGE_TTL_MS = 5_000;
/** Integrations with a series of their own. */
const MAX_INTEGRATIONS = 1_000;
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createMetrics(): Metrics {
  const registry = new Registry();
  // Includes the delay of the event loop (nodejs_eventloop_lag_*), memory and CPU.
  collectDefaultMetrics({ register: registry });
  const { http, git, stage, notifications, platforms, runs } = createHistograms([registry]);
  const { hooks, forwarded, crossOrigin, deployments, jobs, chores } = createCounters([registry]);
  return {
    registry,
    httpRequest: (method, route, status, durationMs) => http.observe({ method, route, status }, durationMs / 1000),
    hook: (provider, verdict) => hooks.inc({ provider, verdict }),
    untrustedForwarded: () => forwarded.inc(),
    crossOriginRefused: (reason) => crossOrigin.inc({ reason }),
    gitRequest: (operation, outcome, durationMs) => git.observe({ operation, outcome }, durationMs / 1000),
    stages: (durationsMs) => {
      for (const [name, ms] of Object.entries(durationsMs)) stage.observe({ stage: name.replace(/Ms$/, '') }, ms / 1000);
    },
    deploymentEnded: (state) => deployments.inc({ state }),
    notification: (format, outcome, durationMs) => notifications.observe({ format, outcome }, durationMs / 1000),
    platformRequest: ({ integration, outcome, durationMs }) => platforms.observe({ type: integration.type, outcome }, durationMs / 1000),
    integrationRun: (type, outcome, durationMs) => runs.observe({ type, outcome }, durationMs / 1000),
    jobFailed: (name) => jobs.inc({ queue: name }),
    choreFailed: (chore) => chores.inc({ chore }),
    watch: (source) => watchGauges([registry], source),
  };
}

function createHistograms(registers: Registry[]) {
  const seconds = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Histogram({ name, help, labelNames, buckets: SECONDS, registers });
  return {
    http: seconds('bellwether_http_request_seconds', 'Duration of HTTP requests', ['method', 'route', 'status']),
    git: seconds('bellwether_git_request_seconds', 'Git operations by outcome', ['operation', 'outcome']),
    stage: seconds('bellwether_stage_seconds', 'Stages of a push, from the webhook to the applied device', ['stage']),
    notifications: seconds('bellwether_notification_seconds', 'Attempts to post an event to a notification, by outcome', [
      'format',
      'outcome',
    ]),
    platforms: seconds('bellwether_platform_request_seconds', 'Requests to the platforms of integrations, by outcome', ['type', 'outcome']),
    runs: seconds('bellwether_integration_run_seconds', 'Syncs of integrations, by outcome', ['type', 'outcome']),
  };
}

function createCounters(registers: Registry[]) {
  const total = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });
  return {
    hooks: total('bellwether_hooks_total', 'Webhook deliveries by verdict', ['provider', 'verdict']),
    forwarded: total('bellwether_untrusted_forwarded_total', 'Requests with X-Forwarded-For while TRUST_PROXY is off', []),
    crossOrigin: total('bellwether_cross_origin_refused_total', 'Requests with a session that did not come from our own page', ['reason']),
    deployments: total('bellwether_deployments_total', 'Deployments that ended, by state', ['state']),
    jobs: total('bellwether_job_failures_total', 'Jobs that ended with an unexpected error', ['queue']),
    chores: total('bellwether_chore_failures_total', 'Runs of recurring chores that ended with an error', ['chore']),
  };
}

function watchGauges(registers: Registry[], source: GaugeSource): void {
  const readStored = createStoredGauges(registers, source);
  let readAt = 0;
  const simple = (name: string, help: string, read: (gauge: Gauge) => void | Promise<void>) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        return read(this);
      },
    });
  simple('bellwether_waiting_polls', 'Devices in a long poll of this process', async (gauge) => {
    gauge.set(source.waitingPolls());
    // Without the database the stored gauges keep their last values, and all others are still reported.
    if (Date.now() - readAt < GAUGE_TTL_MS || !source.database.isUp()) return;
    readAt = Date.now();
    await readStored().catch((error: unknown) => {
      if (!isDatabaseAway(error)) throw error;
    });
  });
  new Gauge({
    name: 'bellwether_admission_devices',
    help: 'Devices that this process serves during a change, and devices that wait for admission',
    labelNames: ['state'],
    registers,
    collect() {
      const { atWork, waiting } = source.admission();
      this.set({ state: 'at_work' }, atWork);
      this.set({ state: 'waiting' }, waiting);
    },
  });
  simple('bellwether_database_up', '1 if the database answers, else 0', (gauge) => gauge.set(source.database.isUp() ? 1 : 0));
  simple('bellwether_integration_circuits_open', 'Integrations whose platform gets no requests of this process for a while', (gauge) =>
    gauge.set(source.openCircuits()),
  );
  simple('bellwether_live_connections', 'Live connections of this process', (gauge) => gauge.set(source.liveConnections()));
}

/** Gauges of rows in the database. @returns reads them all */
function createStoredGauges(registers: Registry[], { sql, queue: jobQueue }: GaugeSource): () => Promise<void> {
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]) => new Gauge({ name, help, labelNames, registers });
  const devices = gauge('bellwether_devices', 'Devices by sync status and connectivity', ['sync_status', 'connectivity']);
  const sources = gauge('bellwether_sources', 'Sources by status', ['status']);
  const queue = gauge('bellwether_queue_depth', 'Keys that wait for a worker', ['queue']);
  const failing = gauge('bellwether_jobs_failing', 'Keys whose jobs failed three times or more in a row', ['queue']);
  const integrations = gauge('bellwether_integrations', 'Integrations by type and state', ['type', 'state']);
  const ages = gauge('bellwether_integration_success_age_seconds', 'Seconds since the last successful sync of each integration', [
    'integration',
    'type',
  ]);
  return async () => {
    const [deviceRows, sourceRows, depths, failingRows, integrationRows] = await Promise.all([
      deviceCounts(sql),
      sourceCounts(sql),
      jobQueue.depths(),
      failingJobCounts(sql),
      integrationStates(sql, MAX_INTEGRATIONS),
    ]);
    for (const each of [devices, sources, queue, failing, integrations, ages]) each.reset();
    for (const row of integrationRows) {
      const { id, type, lastSuccessAt } = row;
      integrations.inc({ type, state: stateOf(row) });
      if (lastSuccessAt !== null) ages.set({ integration: id, type }, (Date.now() - lastSuccessAt.getTime()) / 1000);
    }
    for (const row of failingRows) failing.set({ queue: row.queue }, row.count);
    for (const row of deviceRows) devices.set({ sync_status: row.syncStatus, connectivity: row.connectivity }, row.count);
    for (const row of sourceRows) sources.set({ status: row.status }, row.count);
    for (const [name, depth] of Object.entries(depths)) queue.set({ queue: name }, depth);
  };
}
