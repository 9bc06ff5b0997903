import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import { invalid, isProblem } from '../../errors.ts';
import type { Store, Unit } from '../../event/transact.ts';
import { body, json, problems } from '../../http/kit.ts';
import { createIntegration, makePrimary, removeIntegration } from '../../integration/changes.ts';
import { eventOf, type Integration, MAX_PER_ORGANIZATION } from '../../integration/integration.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import { refusalOfRun } from '../../integration/runs/request.ts';
import { listIntegrations, lockIntegrationsOf, primaryOf, requestRuns, updateIntegration } from '../../integration/store/services.ts';
import { runningIntegrations, runStatusOf } from '../../integration/store/status.ts';
import { auditName } from '../../organization/organization.ts';
import { isDeviceSyncEnabled } from '../../organization/store.ts';
import { callerOf, mountOn, operation, role } from '../env.ts';
import { settingsOfNew } from '../integration/account/settings.ts';
import { apiOf, findIntegration, lockFound } from '../integration/find.ts';
import {
  LegacyIntegration,
  LegacyIntegrationChange,
  LegacyIntegrations,
  LegacyNewIntegration,
  LegacySyncStatus,
  syncWord,
  viewLegacyIntegration,
} from './integration-schemas.ts';

type Deps = { store: Store; box: SecretBox; platforms: PlatformDeps };

/** `/profile/integrations`: the API of an earlier system, with its fields and statuses. A token stands for its user. */
export const legacyIntegrationRoutes = (deps: Deps) =>
  mountOn(apiOf(deps), listAll(deps), create(deps), syncAll(deps), change(deps), remove(deps), showSyncStatus(deps), choosePrimary(deps));

const tags = ['Older integrations'];
const PATH = '/profile/integrations';
const Id = z.object({ device_id: z.string().min(1).max(100).openapi({ example: 'strava_2' }) });
/** The earlier system knows these alone; other platforms are created by POST /integrations. */
const TYPES = ['garmin', 'xiaomi', 'strava', 'apple', 'manual'];
/** The earlier system names one even where there is none. */
const NO_PRIMARY = 'manual';

const Done = z.object({ message: z.string() }).openapi('SeedDone');
const Chosen = Done.extend({ primary_device: z.string() }).openapi('SeedPrimary');
/** One that syncs already counts as queued. */
const SYNC_RESULTS = ['queued', 'skipped_disabled'] as const;
const SyncStarted = Done.extend({ results: z.record(z.string(), z.enum(SYNC_RESULTS)) }).openapi('SeedSyncStarted');

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: PATH,
      tags,
      middleware: [role('viewer')] as const,
      responses: { 200: json(LegacyIntegrations, 'All integrations, the primary one, and whether any is synced'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const [all, primary, isEnabled] = await Promise.all([
        listIntegrations(sql, organizationId, null, MAX_PER_ORGANIZATION),
        primaryOf(sql, organizationId),
        isDeviceSyncEnabled(sql, organizationId),
      ]);
      return c.json(
        { primary_device: primary?.slug ?? NO_PRIMARY, devices_enabled: isEnabled, devices: all.map(viewLegacyIntegration) },
        200,
      );
    },
  );

const create = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: PATH,
      tags,
      middleware: [role('admin')] as const,
      request: { body: body(LegacyNewIntegration) },
      responses: { 201: json(LegacyIntegration, 'Added; its id is made of the type and a count'), ...problems },
    }),
    async (c) => {
      const { device_type: type, device_name: name, sync_interval_hours: hours, auto_sync_enabled: autoSync } = c.req.valid('json');
      if (!TYPES.includes(type)) {
        const detail = `must be one of ${TYPES.join(', ')}`;
        throw invalid(`Cannot add an integration of type "${type}": ${detail}`, [{ pointer: '/device_type', detail }]);
      }
      const usual = { settings: {}, credentials: {}, enabled: true, strategy: 'remote_wins', fields: null, fieldRules: {} } as const;
      const intervalSeconds = hours === undefined ? undefined : hours * 3_600;
      const wanted = await settingsOfNew(deps, c.get('actor').organizationId, { ...usual, type, name, autoSync, intervalSeconds });
      const entry = ({ slug }: Integration) => ({ action: 'integration.create', subject: `integration:${slug}`, detail: { type } });
      const created = await audited(callerOf(c), deps.store, entry, (unit) =>
        createIntegration(unit, { ...wanted, hookSecretSealed: null, hookSecretLast4: null }),
      );
      return c.json(viewLegacyIntegration(created), 201);
    },
  );

const change = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'put',
      path: `${PATH}/{device_id}`,
      tags,
      middleware: [role('admin')] as const,
      request: { params: Id, body: body(LegacyIntegrationChange) },
      responses: { 200: json(LegacyIntegration, 'Changed'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { device_id: id } = c.req.valid('param');
      const { device_name: name, sync_interval_hours: hours, auto_sync_enabled: autoSync } = c.req.valid('json');
      const fields = Object.keys(c.req.valid('json'));
      const entry = ({ slug }: Integration) => ({ action: 'integration.change', subject: `integration:${slug}`, detail: { fields } });
      const changed = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const before = await lockFound(tx, organizationId, id);
        const after = await updateIntegration(tx, {
          ...before,
          name: name ?? before.name,
          autoSync: autoSync ?? before.autoSync,
          intervalSeconds: hours == null ? before.intervalSeconds : hours * 3_600,
        });
        emit(eventOf(after, 'integration.changed', { name: after.name, fields }));
        return after;
      });
      return c.json(viewLegacyIntegration(changed), 200);
    },
  );

const remove = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'delete',
      path: `${PATH}/{device_id}`,
      tags,
      description: 'The primary one is not removed while it is the only one. Otherwise the next one becomes the primary.',
      middleware: [role('admin')] as const,
      request: { params: Id },
      responses: { 204: { description: 'Removed' }, ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { device_id: id } = c.req.valid('param');
      const entry = ({ slug }: Integration) => ({ action: 'integration.delete', subject: `integration:${slug}` });
      await audited(callerOf(c), store, entry, async (unit) => {
        await lockIntegrationsOf(unit.tx, organizationId);
        const integration = await lockFound(unit.tx, organizationId, id);
        await removeIntegration(unit, integration, false).catch(asEarlier);
        return integration;
      });
      return c.body(null, 204);
    },
  );

/** The earlier system refuses with 400. */
function asEarlier(error: unknown): never {
  throw isProblem(error, 'integration_primary') ? invalid(error.message) : error;
}

const showSyncStatus = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: `${PATH}/{device_id}/sync-status`,
      tags,
      middleware: [role('viewer')] as const,
      request: { params: Id },
      responses: { 200: json(LegacySyncStatus, 'The last sync and the next one'), ...problems },
    }),
    async (c) => {
      const integration = await findIntegration(sql, c.get('actor').organizationId, c.req.valid('param').device_id);
      const { running } = await runStatusOf(sql, integration);
      const { slug, lastRunAt, nextRunAt, errorDetail } = integration;
      const answer = { device_id: slug, last_sync: lastRunAt?.toISOString() ?? null, next_sync: nextRunAt?.toISOString() ?? null };
      return c.json({ ...answer, sync_status: syncWord(integration, running?.isAlive ?? false), message: errorDetail }, 200);
    },
  );

const choosePrimary = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: `${PATH}/{device_id}/set-primary`,
      tags,
      middleware: [role('admin')] as const,
      request: { params: Id },
      responses: { 200: json(Chosen, 'It is the primary now'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { device_id: id } = c.req.valid('param');
      const entry = ({ slug }: Integration) => ({ action: 'integration.set_primary', subject: `integration:${slug}` });
      const { slug } = await audited(callerOf(c), store, entry, async (unit) => {
        await lockIntegrationsOf(unit.tx, organizationId);
        const integration = await lockFound(unit.tx, organizationId, id);
        await makePrimary(unit, integration);
        return integration;
      });
      return c.json({ message: `Primary device set to ${slug}`, primary_device: slug }, 200);
    },
  );

const syncAll = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: `${PATH}/sync-all`,
      tags,
      description: 'Leaves out those that are blocked, switched off, or not synced by themselves.',
      middleware: [role('operator')] as const,
      responses: { 200: json(SyncStarted, 'The syncs run now'), ...problems },
    }),
    async (c) => {
      const actor = c.get('actor');
      const { organizationId } = actor;
      const entry = (results: Results) => ({ action: 'integration.sync_all', subject: 'integration:all', detail: { results } }) as const;
      const results = await audited(callerOf(c), deps.store, entry, (unit) => queueAll(unit, organizationId, auditName(actor)));
      return c.json({ message: 'Sync initiated for all devices', results }, 200);
    },
  );

type Results = Record<string, (typeof SYNC_RESULTS)[number]>;

/** @throws Problem `invalid_request` where nothing can be synced, as in the earlier system */
async function queueAll({ tx, enqueue }: Unit, organizationId: string, by: string): Promise<Results> {
  const [isEnabled, running] = [await isDeviceSyncEnabled(tx, organizationId), await runningIntegrations(tx, organizationId)];
  const all = await listIntegrations(tx, organizationId, null, MAX_PER_ORGANIZATION);
  if (!isEnabled && all.length > 0) throw invalid('Cannot sync the devices: syncing is switched off as a whole; switch it on first');
  if (all.length === 0) throw invalid('Cannot sync the devices: there are none; add one first');
  const able = all.filter((one) => one.autoSync && refusalOfRun(one, { isEnabled, isRunning: false }) === undefined);
  const due = able.filter(({ id }) => !running.has(id)).map(({ id }) => id);
  await requestRuns(tx, organizationId, due, by);
  for (const id of due) enqueue('integration', id);
  return Object.fromEntries(all.map((one) => [one.slug, able.includes(one) ? 'queued' : 'skipped_disabled']));
}
