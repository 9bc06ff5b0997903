import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import type { Store } from '../../event/transact.ts';
import { body, json, problems } from '../../http/kit.ts';
import { switchSyncing } from '../../integration/changes.ts';
import { NO_COUNTS } from '../../integration/integration.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import { INTEGRATION_STATES, stateOf } from '../../integration/runs/state.ts';
import { primaryOf } from '../../integration/store/services.ts';
import { countsOf, failingDevicesOf, type RunStatus, runStatusOf } from '../../integration/store/status.ts';
import { isDeviceSyncEnabled } from '../../organization/store.ts';
import { callerOf, mountOn, operation, role } from '../env.ts';
import { apiOf, findIntegration } from './find.ts';
import { IntegrationId, NO_DEVICES } from './integrations.ts';
import { Failure, iso } from './schemas.ts';

type Deps = { store: Store; platforms: PlatformDeps };

/** How far syncs are, and the master switch. */
export const integrationStatusRoutes = (deps: Deps) => mountOn(apiOf(deps), showSettings(deps), changeSettings(deps), showSyncStatus(deps));

const tags = ['Integrations'];
const time = z.iso.datetime();
const count = z.number().int();
const Counts = z.object(
  Object.fromEntries(Object.keys(NO_COUNTS).map((name) => [name, count])) as Record<keyof typeof NO_COUNTS, typeof count>,
);
const Run = z
  .object({
    id: z.string(),
    status: z.string().openapi({ description: 'running, succeeded or failed' }),
    operation: z.string(),
    trigger: z.string().nullable(),
    counts: Counts,
    error: Failure.nullable(),
    startedAt: time,
    finishedAt: time.nullable(),
    durationMs: z.number().int().nullable(),
  })
  .openapi('IntegrationRun');

const MAX_FAILURES = 20;
const SyncStatus = z
  .object({
    integration: z.string().openapi({ description: 'The slug' }),
    state: z.enum(INTEGRATION_STATES),
    circuit: z.enum(['closed', 'open', 'half_open']).openapi({ description: 'open: requests of this process wait for the platform' }),
    syncingEnabled: z.boolean().openapi({ description: 'The master switch of the organization' }),
    autoSync: z.boolean(),
    lastSync: time.nullable(),
    lastSuccess: time.nullable(),
    nextSync: time.nullable(),
    // `nullable()` would make the component itself nullable.
    running: z.union([Run, z.null()]),
    lastRun: z.union([Run, z.null()]),
    error: Failure.nullable(),
    failures: z.number().int().openapi({ description: 'Failed syncs since the last success' }),
    blockedReason: z.string().nullable(),
    stale: z.boolean().openapi({ description: 'No sync succeeded in time' }),
    staleSince: time.nullable(),
    devices: z.number().int(),
    failingDevices: z.number().int(),
    openConflicts: z.number().int().openapi({ description: 'Conflicts that a person must resolve' }),
    errors: z
      .array(z.object({ deviceId: z.string(), ...Failure.shape, failures: z.number().int(), retryAt: time.nullable() }))
      .openapi({ description: `Devices that could not be synced, at most ${MAX_FAILURES}` }),
  })
  .openapi('IntegrationSyncStatus');

const showSyncStatus = ({ store: { sql }, platforms }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/integrations/{id}/sync-status',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: IntegrationId },
      responses: { 200: json(SyncStatus, 'The last, the present and the next sync'), ...problems },
    }),
    async (c) => {
      const integration = await findIntegration(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const [syncingEnabled, { running, last }, counts, failures] = await Promise.all([
        isDeviceSyncEnabled(sql, integration.organizationId),
        runStatusOf(sql, integration),
        countsOf(sql, integration.organizationId, [integration.id]),
        failingDevicesOf(sql, integration, MAX_FAILURES),
      ]);
      const { slug, errorCode, errorDetail, staleSince } = integration;
      const answer = {
        integration: slug,
        state: stateOf(integration),
        circuit: platforms.isolation.circuitOf(integration.id),
        syncingEnabled,
        autoSync: integration.autoSync,
        lastSync: iso(integration.lastRunAt),
        lastSuccess: iso(integration.lastSuccessAt),
        nextSync: syncingEnabled ? iso(integration.nextRunAt) : null,
        running: running === undefined ? null : viewRun(running),
        lastRun: last === undefined ? null : viewRun(last),
        error: errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' },
        failures: integration.failures,
        blockedReason: integration.blockedReason,
        stale: staleSince !== null,
        staleSince: iso(staleSince),
        ...(counts.get(integration.id) ?? NO_DEVICES),
        errors: failures.map((failure) => ({ ...failure, retryAt: iso(failure.retryAt) })),
      };
      return c.json(answer, 200);
    },
  );

function viewRun({ isAlive: _alive, errorCode, errorDetail, counts, ...run }: RunStatus): z.output<typeof Run> {
  return {
    ...run,
    counts: { ...NO_COUNTS, ...counts },
    error: errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' },
    startedAt: run.startedAt.toISOString(),
    finishedAt: iso(run.finishedAt),
  };
}

const Settings = z
  .object({
    syncingEnabled: z.boolean().openapi({ description: 'false: no integration of the organization syncs; nothing is removed' }),
    primary: z.string().nullable().openapi({ description: 'Slug of the primary integration' }),
  })
  .openapi('IntegrationSettings');
const SettingsChange = z.strictObject({ syncingEnabled: z.boolean() }).openapi('IntegrationSettingsChange');

const showSettings = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/integrations/settings',
      tags,
      middleware: [role('viewer')] as const,
      responses: { 200: json(Settings, 'Settings of all integrations of the organization'), ...problems },
    }),
    async (c) => c.json(await settingsOf(sql, c.get('actor').organizationId), 200),
  );

const changeSettings = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'put',
      path: '/integrations/settings',
      tags,
      middleware: [role('admin')] as const,
      request: { body: body(SettingsChange) },
      responses: { 200: json(Settings, 'Changed'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { syncingEnabled } = c.req.valid('json');
      const entry = { action: 'integration.settings', subject: 'integration:all', detail: { syncingEnabled } };
      await audited(callerOf(c), store, entry, ({ tx, emit }) => switchSyncing({ tx, emit }, organizationId, syncingEnabled));
      return c.json(await settingsOf(store.sql, organizationId), 200);
    },
  );

async function settingsOf(sql: Store['sql'], organizationId: string): Promise<z.output<typeof Settings>> {
  const [syncingEnabled, primary] = await Promise.all([isDeviceSyncEnabled(sql, organizationId), primaryOf(sql, organizationId)]);
  return { syncingEnabled, primary: primary?.slug ?? null };
}
