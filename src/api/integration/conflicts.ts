import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import type { Db } from '../../db/connect.ts';
import { invalid, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, decodeIdCursor, json, PageQuery, problems } from '../../http/kit.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import { type Conflict, listConflicts, versionOf } from '../../integration/store/conflicts.ts';
import { auditName } from '../../organization/organization.ts';
import { type Choice, resolveConflict, resolveConflicts } from '../../sync/resolve.ts';
import type { Json } from '../../wire/text/json.ts';
import { callerOf, mountOn, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { apiOf, findIntegration } from './find.ts';
import { IntegrationId } from './integrations.ts';
import { iso } from './schemas.ts';

type Deps = { store: Store; platforms: PlatformDeps };

/** Fields that both sides changed, and how they were decided. */
export const conflictRoutes = (deps: Deps) => mountOn(apiOf(deps), listAll(deps), listOne(deps), resolveMany(deps), resolveOne(deps));

const tags = ['Integrations'];
const time = z.iso.datetime();
const Value = z.unknown().openapi({ description: 'Any JSON; null also where the side has no value' });
const ConflictView = z
  .object({
    id: z.string(),
    integration: z.string().openapi({ description: 'The slug' }),
    deviceId: z.string(),
    field: z.string(),
    base: Value,
    local: Value,
    remote: Value,
    version: z.string().openapi({ description: 'Another one once a sync has found other values' }),
    localChangedAt: time.nullable(),
    remoteChangedAt: time.nullable().openapi({ description: 'When the platform changed the device, which may be about another field' }),
    state: z.enum(['open', 'resolved', 'obsolete']).openapi({ description: 'obsolete: the sides agreed by themselves' }),
    resolution: z.enum(['local', 'remote', 'value', 'newest', 'merge']).nullable(),
    value: Value,
    resolvedBy: z.string().nullable().openapi({ example: 'strategy:remote_wins', description: 'A strategy, or the token of a person' }),
    resolvedAt: time.nullable(),
    createdAt: time,
  })
  .openapi('Conflict');

const ConflictsQuery = PageQuery.extend({
  state: z.enum(['open', 'resolved', 'obsolete']).optional(),
  device: z.string().max(63).optional(),
  field: z.string().max(100).optional(),
});
type Query = z.output<typeof ConflictsQuery>;

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/conflicts',
      tags,
      role: 'viewer',
      request: { query: ConflictsQuery.extend({ integration: z.string().max(100).optional() }) },
      item: ConflictView,
      description: 'Conflicts of all integrations, newest first; also those that a strategy resolved',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { integration, ...query } = c.req.valid('query');
      const found = integration === undefined ? undefined : await findIntegration(sql, organizationId, integration);
      return c.json(await read(sql, organizationId, found?.id, query), 200);
    },
  );

const listOne = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/integrations/{id}/conflicts',
      tags,
      role: 'viewer',
      request: { params: IntegrationId, query: ConflictsQuery },
      item: ConflictView,
      description: 'Conflicts of the integration, newest first',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const integration = await findIntegration(sql, organizationId, c.req.valid('param').id);
      return c.json(await read(sql, organizationId, integration.id, c.req.valid('query')), 200);
    },
  );

const Version = z.string().max(64).openapi({ description: 'The one that the person saw: with other values now, nothing is resolved' });
const choice = z
  .enum(['local', 'remote', 'value'])
  .openapi({ description: 'Which value both sides get; `value`: the one of this request' });
const Resolution = z
  .strictObject({ choice, value: z.unknown().optional(), version: Version.optional() })
  .openapi('ConflictResolution', { example: { choice: 'local' } });
const Resolutions = Resolution.omit({ version: true })
  .extend({ ids: z.array(z.uuid()).min(1).max(500), versions: z.record(z.uuid(), Version).optional().openapi({ description: 'By id' }) })
  .openapi('ConflictResolutions');
const Outcome = z
  .object({
    resolved: z.array(z.string()),
    skipped: z.array(z.string()).openapi({ description: 'They are not open any more, or have another version' }),
  })
  .openapi('ResolvedConflicts');

const resolveMany = ({ store, platforms }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/conflicts:resolve',
      tags,
      middleware: [role('operator')] as const,
      request: { body: body(Resolutions) },
      responses: { 200: json(Outcome, 'The next sync, which runs at once, writes the values to the platform'), ...problems },
    }),
    async (c) => {
      const actor = c.get('actor');
      const { organizationId } = actor;
      const { ids, versions = {}, ...given } = c.req.valid('json');
      const decision = choiceOf(given);
      const entry = { action: 'conflict.resolve', subject: 'conflict:many', detail: { ids, choice: decision.choice } };
      const wanted = { organizationId, ids: [...new Set(ids)], by: auditName(actor), versions };
      const outcome = await audited(callerOf(c), store, entry, (unit) => resolveConflicts(unit, platforms.providers, wanted, decision));
      return c.json(outcome, 200);
    },
  );

const resolveOne = ({ store, platforms }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/conflicts/{id}/resolve',
      tags,
      middleware: [role('operator')] as const,
      request: { params: z.object({ id: z.uuid() }), body: body(Resolution) },
      responses: { 200: json(ConflictView, 'The next sync, which runs at once, writes the value to the platform'), ...problems },
    }),
    async (c) => {
      const actor = c.get('actor');
      const { organizationId } = actor;
      const { id } = c.req.valid('param');
      const { version, ...given } = c.req.valid('json');
      const decision = choiceOf(given);
      const entry = { action: 'conflict.resolve', subject: `conflict:${id}`, detail: { choice: decision.choice } };
      const resolved = await audited(callerOf(c), store, entry, async (unit) => {
        await resolveConflict(unit, platforms.providers, { organizationId, id, by: auditName(actor), version }, decision);
        const [row] = await listConflicts(unit.tx, organizationId, { id }, null, 1);
        return row;
      });
      if (resolved === undefined) throw notFound('conflict', id);
      return c.json(viewConflict(resolved), 200);
    },
  );

/** @throws Problem `invalid_request` */
function choiceOf({ choice: chosen, value }: Pick<z.output<typeof Resolution>, 'choice' | 'value'>): Choice {
  if (chosen !== 'value') {
    if (value !== undefined) throw wrongValue(`must be left out with choice "${chosen}"`);
    return { choice: chosen };
  }
  if (value === undefined) throw wrongValue('must be given with choice "value"');
  return { choice: 'value', value: value as Json };
}

function wrongValue(detail: string) {
  return invalid(`Cannot resolve the conflict: /value ${detail}`, [{ pointer: '/value', detail }]);
}

function read(sql: Db, organizationId: string, serviceId: string | undefined, { limit, cursor, state, device: deviceId, field }: Query) {
  return readPage(
    { limit, cursor },
    {
      after: decodeIdCursor,
      rows: (before, count) => listConflicts(sql, organizationId, { serviceId, deviceId, state, field }, before, count),
      key: ({ id }) => id,
      view: viewConflict,
    },
  );
}

function viewConflict(conflict: Conflict & { integration: string }): z.output<typeof ConflictView> {
  const { id, integration, deviceId, field, base, local, remote, state, resolution, value, resolvedBy } = conflict;
  return {
    ...{ id, integration, deviceId, field, base, local, remote, state, resolution, value, resolvedBy, version: versionOf(conflict) },
    localChangedAt: iso(conflict.localChangedAt),
    remoteChangedAt: iso(conflict.remoteChangedAt),
    resolvedAt: iso(conflict.resolvedAt),
    createdAt: conflict.createdAt.toISOString(),
  };
}
