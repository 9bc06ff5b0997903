import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import type { Store, Unit } from '../../event/transact.ts';
import { json, problems } from '../../http/kit.ts';
import type { Integration } from '../../integration/integration.ts';
import { MAX_PER_ORGANIZATION } from '../../integration/integration.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import { refusalOfRun } from '../../integration/runs/request.ts';
import { listIntegrations, requestRuns } from '../../integration/store/services.ts';
import { runningIntegrations, runStatusOf } from '../../integration/store/status.ts';
import { auditName } from '../../organization/organization.ts';
import { isDeviceSyncEnabled } from '../../organization/store.ts';
import { callerOf, type Env, mountOn, operation, role } from '../env.ts';
import { apiOf, findIntegration } from './find.ts';
import { IntegrationId } from './integrations.ts';

type Deps = { store: Store; platforms: PlatformDeps };

/** Syncs on request. */
export const integrationSyncRoutes = (deps: Deps) => mountOn(apiOf(deps), syncOne(deps), syncAll(deps));

const tags = ['Integrations'];
const SyncRequested = z
  .object({
    queued: z.boolean(),
    integration: z.string().openapi({ description: 'The slug' }),
    statusPath: z.string().openapi({ description: 'Shows the run: integrations/golioth/sync-status' }),
  })
  .openapi('IntegrationSyncRequested');

const syncOne = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/integrations/{id}/sync',
      tags,
      description: 'Refused while a sync of it runs, while it is blocked or switched off, and while syncing is switched off.',
      middleware: [role('operator')] as const,
      request: { params: IntegrationId },
      responses: { 202: json(SyncRequested, 'A sync runs now'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const integration = await findIntegration(store.sql, organizationId, c.req.valid('param').id);
      const [isEnabled, { running }] = await Promise.all([
        isDeviceSyncEnabled(store.sql, organizationId),
        runStatusOf(store.sql, integration),
      ]);
      const refusal = refusalOfRun(integration, { isEnabled, isRunning: running?.isAlive ?? false });
      if (refusal !== undefined) throw refusal;
      const { slug } = integration;
      const entry = { action: 'integration.sync', subject: `integration:${slug}` };
      await audited(callerOf(c), store, entry, (unit) => request(c, unit, [integration]));
      return c.json({ queued: true, integration: slug, statusPath: `integrations/${slug}/sync-status` }, 202);
    },
  );

const SyncAll = z
  .object({
    queued: z.array(z.string()).openapi({ description: 'Slugs of the integrations that sync now' }),
    skipped: z.array(z.object({ integration: z.string(), code: z.string(), detail: z.string() })),
  })
  .openapi('IntegrationSyncAll');

const syncAll = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/integrations:sync-all',
      tags,
      middleware: [role('operator')] as const,
      responses: { 202: json(SyncAll, 'The syncs run now; some may be skipped, each with its reason'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const answer = await audited(
        callerOf(c),
        store,
        ({ queued }: z.output<typeof SyncAll>) => ({ action: 'integration.sync_all', subject: 'integration:all', detail: { queued } }),
        async (unit) => {
          const [isEnabled, running, all] = await Promise.all([
            isDeviceSyncEnabled(unit.tx, organizationId),
            runningIntegrations(unit.tx, organizationId),
            listIntegrations(unit.tx, organizationId, null, MAX_PER_ORGANIZATION),
          ]);
          const judged = all.map((integration) => ({
            integration,
            refusal: refusalOfRun(integration, { isEnabled, isRunning: running.has(integration.id) }),
          }));
          const wanted = judged.flatMap(({ integration, refusal }) => (refusal === undefined ? [integration] : []));
          await request(c, unit, wanted);
          const skipped = judged.flatMap(({ integration: { slug }, refusal }) =>
            refusal === undefined ? [] : [{ integration: slug, code: refusal.code, detail: refusal.message }],
          );
          return { queued: wanted.map(({ slug }) => slug), skipped };
        },
      );
      return c.json(answer, 202);
    },
  );

async function request(c: Context<Env>, { tx, enqueue }: Unit, integrations: readonly Integration[]): Promise<void> {
  const actor = c.get('actor');
  const ids = integrations.map(({ id }) => id);
  await requestRuns(tx, actor.organizationId, ids, auditName(actor));
  for (const id of ids) enqueue('integration', id);
}
