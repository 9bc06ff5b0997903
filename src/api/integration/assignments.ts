import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { DeviceId } from '../../device/device.ts';
import { deviceById } from '../../device/store.ts';
import { conflict, invalid, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, decodeCursor, json, PageQuery, problems } from '../../http/kit.ts';
import { type Assignment, eventOf, type Integration } from '../../integration/integration.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import { assignmentsOfDevice, deleteAssignment, insertAssignments, listAssignments } from '../../integration/store/assignments.ts';
import { callerOf, mountOn, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { apiOf, findIntegration, lockFound } from './find.ts';
import { IntegrationId, isDue } from './integrations.ts';
import { Failure, iso } from './schemas.ts';

type Deps = { store: Store; platforms: PlatformDeps };

/** Which device here is which one at the platform. A sync assigns the devices that the platform lists. */
export const assignmentRoutes = (deps: Deps) => mountOn(apiOf(deps), listAll(deps), assign(deps), unassign(deps));

const tags = ['Integrations'];
const time = z.iso.datetime();
const externalId = z.string().min(1).max(500).openapi({ description: 'Id of the device at the platform', example: '65f1c0ffee' });
const AssignmentView = z
  .object({
    deviceId: z.string(),
    externalId: externalId.nullable().openapi({ description: 'null: the next sync creates the device at the platform' }),
    identities: z
      .array(z.object({ kind: z.enum(['certificate', 'hardware']), value: z.string() }))
      .openapi({ description: 'Other ids by which the platform shows the same device' }),
    syncedAt: time.nullable(),
    error: Failure.nullable(),
    failures: z.number().int(),
    retryAt: time.nullable().openapi({ description: 'When values are written to the platform, for the first time or again' }),
  })
  .openapi('IntegrationAssignment');
const NewAssignment = z
  .strictObject({
    deviceId: DeviceId,
    externalId: externalId.nullable().default(null).openapi({ description: 'Default: the next sync creates the device at the platform' }),
  })
  .openapi('NewIntegrationAssignment');

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/integrations/{id}/assignments',
      tags,
      role: 'viewer',
      request: { params: IntegrationId, query: PageQuery },
      item: AssignmentView,
      description: 'Devices of the integration, in the order of their ids',
    }),
    async (c) => {
      const integration = await findIntegration(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const answer = await readPage(c.req.valid('query'), {
        after: (cursor) => decodeCursor(cursor, (key) => DeviceId.safeParse(key).success) ?? '',
        rows: (after, limit) => listAssignments(sql, integration, after, limit),
        key: ({ deviceId }) => deviceId,
        view: viewAssignment,
      });
      return c.json(answer, 200);
    },
  );

const assign = ({ store, platforms }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/integrations/{id}/assignments',
      tags,
      description: 'For a platform that lists no devices, and for a local device that the platform is to have.',
      middleware: [role('admin')] as const,
      request: { params: IntegrationId, body: body(NewAssignment) },
      responses: { 201: json(AssignmentView, 'Assigned; a sync runs at once unless it is switched off'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { id } = c.req.valid('param');
      const wanted = c.req.valid('json');
      const entry = { action: 'integration.assign', subject: `device:${wanted.deviceId}`, detail: { integration: id, ...wanted } };
      const assigned = await audited(callerOf(c), store, entry, async (unit) => {
        const integration = await lockFound(unit.tx, organizationId, id);
        if (wanted.externalId === null) checkCreation(platforms, integration);
        if ((await deviceById(unit.tx, organizationId, wanted.deviceId)) === undefined) throw noDevice(wanted.deviceId);
        const added = { ...wanted, identities: [], walk: integration.walks };
        if ((await insertAssignments(unit.tx, integration, [added])).size === 0) throw assignedAlready(integration, wanted);
        unit.emit(eventOf(integration, 'integration.changed', { name: integration.name, fields: ['assignments'] }));
        if (isDue(integration)) unit.enqueue('integration', integration.id);
        const all = await assignmentsOfDevice(unit.tx, organizationId, wanted.deviceId);
        return all.find(({ serviceId }) => serviceId === integration.id);
      });
      if (assigned === undefined) throw notFound('assignment', wanted.deviceId);
      return c.json(viewAssignment(assigned), 201);
    },
  );

const unassign = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/integrations/{id}/assignments/{deviceId}',
      tags,
      middleware: [role('admin')] as const,
      request: { params: IntegrationId.extend({ deviceId: DeviceId }) },
      responses: { 204: { description: 'No longer synced; both sides keep the device' }, ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { id, deviceId } = c.req.valid('param');
      const entry = { action: 'integration.unassign', subject: `device:${deviceId}`, detail: { integration: id } };
      await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const integration = await lockFound(tx, organizationId, id);
        if (!(await deleteAssignment(tx, integration, deviceId))) throw notFound('assignment', deviceId);
        emit(eventOf(integration, 'integration.changed', { name: integration.name, fields: ['assignments'] }));
      });
      return c.body(null, 204);
    },
  );

/** @throws Problem `invalid_request` when no sync would create the device */
function checkCreation({ providers }: PlatformDeps, { type, direction, name }: Integration): void {
  const refuse = (detail: string) =>
    invalid(`Cannot assign the device without an externalId: ${detail}`, [{ pointer: '/externalId', detail }]);
  if (!providers.of(type).abilities.create) throw refuse(`must be given: type "${type}" creates no devices`);
  if (direction === 'import') throw refuse(`must be given: integration "${name}" only imports; its direction must be "export" or "both"`);
}

function noDevice(deviceId: string) {
  const detail = 'must be a device of this organization';
  return invalid(`Cannot assign device "${deviceId}": it ${detail}`, [{ pointer: '/deviceId', detail }]);
}

function assignedAlready({ name }: Integration, { deviceId, externalId }: z.output<typeof NewAssignment>) {
  const other = externalId === null ? '' : `, or another one has the externalId "${externalId}"`;
  return conflict(
    'assignment_exists',
    `Cannot assign device "${deviceId}" to integration "${name}": it is assigned${other}; remove that assignment first`,
  );
}

function viewAssignment(assignment: Assignment): z.output<typeof AssignmentView> {
  const { deviceId, identities, syncedAt, errorCode, errorDetail, failures, retryAt } = assignment;
  return {
    deviceId,
    externalId: assignment.externalId,
    identities,
    syncedAt: iso(syncedAt),
    error: errorCode === null ? null : { code: errorCode, detail: errorDetail ?? '' },
    failures,
    retryAt: iso(retryAt),
  };
}
