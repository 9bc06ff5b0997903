import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import type { Store } from '../../event/transact.ts';
import { body, decodeIdCursor, etagOf, json, PageQuery, problems } from '../../http/kit.ts';
import { createIntegration, makePrimary, removeIntegration } from '../../integration/changes.ts';
import { openCredentials } from '../../integration/credentials.ts';
import { eventOf, type Integration } from '../../integration/integration.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import {
  listIntegrations,
  lockIntegrationsOf,
  type NewIntegration,
  replaceCredentials,
  updateIntegration,
} from '../../integration/store/services.ts';
import { countsOf } from '../../integration/store/status.ts';
import { callerOf, mountOn, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { settingsAfter, settingsOfNew } from './account/settings.ts';
import { apiOf, findIntegration, lockMatching } from './find.ts';
import { IntegrationChange, IntegrationView, ListedIntegration, NewIntegrationBody, viewIntegration } from './schemas.ts';

type Reader = { store: Store; platforms: PlatformDeps; publicUrl(): string };
type Deps = Reader & { box: SecretBox };

/** Accounts on device platforms. */
export const integrationRoutes = (deps: Deps) =>
  mountOn(apiOf(deps), listAll(deps), create(deps), show(deps), change(deps), remove(deps), choosePrimary(deps));

const tags = ['Integrations'];
export const IntegrationId = z.object({
  id: z.string().min(1).max(100).openapi({ description: 'The id or the slug, such as golioth_2', example: 'golioth' }),
});

/** Counts of an integration that was removed while its list was read. */
export const NO_DEVICES = { devices: 0, failingDevices: 0, openConflicts: 0 };

const listAll = ({ store: { sql }, publicUrl }: Reader) =>
  operation(
    listRoute({
      path: '/integrations',
      tags,
      role: 'viewer',
      request: { query: PageQuery },
      item: ListedIntegration,
      description: 'Integrations, oldest first',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const answer = await readPage(c.req.valid('query'), {
        after: decodeIdCursor,
        rows: (after, limit) => listIntegrations(sql, organizationId, after, limit),
        key: ({ id }) => id,
        view: (integration) => viewIntegration(integration, publicUrl()),
      });
      const ids = answer.items.map(({ id }) => id);
      const counts = await countsOf(sql, organizationId, ids);
      const items = answer.items.map((item) => ({ ...item, ...(counts.get(item.id) ?? NO_DEVICES) }));
      return c.json({ ...answer, items }, 200);
    },
  );

const create = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/integrations',
      tags,
      description:
        'Stores it without a request to the platform; POST /integrations/test tries settings before. The first one is the primary.',
      middleware: [role('admin')] as const,
      request: { body: body(NewIntegrationBody) },
      responses: { 201: json(IntegrationView, 'Created; a sync runs at once unless it is switched off'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const wanted = await settingsOfNew(deps, organizationId, c.req.valid('json'));
      const entry = ({ slug }: Integration) => ({
        action: 'integration.create',
        subject: `integration:${slug}`,
        detail: auditDetail(wanted),
      });
      const created = await audited(callerOf(c), deps.store, entry, (unit) =>
        createIntegration(unit, { ...wanted, hookSecretSealed: null, hookSecretLast4: null }),
      );
      const headers = { etag: etagOf(created.version), location: `integrations/${created.slug}` };
      return c.json(viewIntegration(created, deps.publicUrl()), 201, headers);
    },
  );

const show = ({ store, publicUrl }: Reader) =>
  operation(
    createRoute({
      method: 'get',
      path: '/integrations/{id}',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: IntegrationId },
      responses: { 200: json(IntegrationView, 'The integration'), ...problems },
    }),
    async (c) => {
      const integration = await findIntegration(store.sql, c.get('actor').organizationId, c.req.valid('param').id);
      return c.json(viewIntegration(integration, publicUrl()), 200, { etag: etagOf(integration.version) });
    },
  );

const change = (deps: Deps) =>
  operation(
    createRoute({
      method: 'patch',
      path: '/integrations/{id}',
      tags,
      description: 'settings replace the stored ones as a whole. Another address in them takes the credentials anew.',
      middleware: [role('admin')] as const,
      request: { params: IntegrationId, body: body(IntegrationChange) },
      responses: { 200: json(IntegrationView, 'Changed'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { id } = c.req.valid('param');
      const wanted = c.req.valid('json');
      const fields = Object.keys(wanted);
      const entry = ({ slug }: Integration) => ({ action: 'integration.change', subject: `integration:${slug}`, detail: { fields } });
      const changed = await audited(callerOf(c), deps.store, entry, async ({ tx, emit, enqueue }) => {
        const before = await lockMatching(c, tx, organizationId, id);
        const stored = wanted.credentials === undefined && wanted.settings !== undefined ? openCredentials(deps.box, before) : {};
        const { settings, credentials } = await settingsAfter(deps, before, stored, wanted);
        let after = await updateIntegration(tx, settings);
        if (credentials !== undefined) after = await replaceCredentials(tx, after, credentials);
        emit(eventOf(after, 'integration.changed', { name: after.name, fields }));
        if (isDue(after) && (wanted.settings !== undefined || credentials !== undefined)) enqueue('integration', after.id);
        return after;
      });
      if (wanted.settings !== undefined || wanted.credentials !== undefined) deps.platforms.isolation.reset(changed.id);
      return c.json(viewIntegration(changed, deps.publicUrl()), 200, { etag: etagOf(changed.version) });
    },
  );

const remove = ({ store, platforms }: Reader) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/integrations/{id}',
      tags,
      description: 'The devices stay. The oldest integration left becomes the primary; without any, syncing is switched off.',
      middleware: [role('admin')] as const,
      request: {
        params: IntegrationId,
        query: z.object({ force: z.stringbool().default(false).openapi({ type: 'boolean', description: 'Also if it is the only one' }) }),
      },
      responses: { 204: { description: 'Removed, with its assignments, log and conflicts' }, ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { id } = c.req.valid('param');
      const { force } = c.req.valid('query');
      const entry = ({ slug }: Integration) => ({ action: 'integration.delete', subject: `integration:${slug}`, detail: { force } });
      const removed = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        await lockIntegrationsOf(tx, organizationId);
        const integration = await lockMatching(c, tx, organizationId, id);
        await removeIntegration({ tx, emit }, integration, force);
        return integration;
      });
      platforms.isolation.reset(removed.id);
      return c.body(null, 204);
    },
  );

const choosePrimary = ({ store, publicUrl }: Reader) =>
  operation(
    createRoute({
      method: 'post',
      path: '/integrations/{id}/set-primary',
      tags,
      middleware: [role('admin')] as const,
      request: { params: IntegrationId },
      responses: { 200: json(IntegrationView, 'It is the primary'), ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const entry = ({ slug }: Integration) => ({ action: 'integration.set_primary', subject: `integration:${slug}` });
      const primary = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const { organizationId } = c.get('actor');
        await lockIntegrationsOf(tx, organizationId);
        await makePrimary({ tx, emit }, await lockMatching(c, tx, organizationId, id));
        return findIntegration(tx, organizationId, id);
      });
      return c.json(viewIntegration(primary, publicUrl()), 200, { etag: etagOf(primary.version) });
    },
  );

/** Whether a sync may run now. */
export function isDue({ isActive, autoSync, blockedReason }: Integration): boolean {
  return isActive && autoSync && blockedReason === null;
}

function auditDetail({ name, type, direction, intervalSeconds }: NewIntegration) {
  return { name, type, direction, intervalSeconds };
}
