import { createRoute, type z } from '@hono/zod-openapi';
import type { Adapters } from '../../adapter/registry.ts';
import { audited } from '../../audit/audited.ts';
import type { Device } from '../../device/device.ts';
import { announceEndedKeys } from '../../device/store/keys.ts';
import { deleteDevice, updateDevice } from '../../device/store.ts';
import type { Store, Unit } from '../../event/transact.ts';
import { body, checkIfMatch, etagOf, json, problems } from '../../http/kit.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import type { Values } from '../../integration/provider.ts';
import type { Providers } from '../../integration/registry.ts';
import { NewDevice } from '../../inventory/new-device.ts';
import { checkSite, defaultPath, registerDevice } from '../../inventory/register.ts';
import { cancelDeployments, convergeDevice } from '../../rollout/converge.ts';
import { editFields } from '../../sync/edit.ts';
import type { Workspaces } from '../../workspace/workspace.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { DeviceParams, findDevice, lockFoundDevice } from './find.ts';
import { DeviceChange, DeviceView, RegisteredDevice, viewDevice } from './schemas.ts';

type Reader = { store: Store };
type Writer = Reader & { adapters: Adapters; platforms: Pick<PlatformDeps, 'providers'> };
type Remover = Reader & { workspaces: Workspaces };

export const deviceRoutes = (deps: Writer & Remover) => mount(register(deps), show(deps), change(deps), remove(deps));

const tags = ['Devices'];

const register = ({ store, adapters }: Writer) =>
  operation(
    createRoute({
      method: 'post',
      path: '/devices',
      tags,
      middleware: [role('operator')] as const,
      request: { body: body(NewDevice) },
      responses: { 201: json(RegisteredDevice, 'Registered, with its key'), ...problems },
    }),
    async (c) => {
      const { start, ...wanted } = c.req.valid('json');
      const { organizationId } = c.get('actor');
      adapters.get(wanted.adapter);
      const { id, name = id, type, sourceId } = wanted;
      const entry = { action: 'device.register', subject: `device:${id}`, detail: { type, sourceId } };
      const { apiKey, device } = await audited(callerOf(c), store, entry, async (unit) => {
        const key = await registerDevice(unit, { ...wanted, organizationId, name, following: start && sourceId !== null });
        return { apiKey: key, device: await findDevice(unit.tx, organizationId, id) };
      });
      return c.json({ ...viewDevice(device), apiKey }, 201, { etag: etagOf(device.version), location: `devices/${id}` });
    },
  );

const show = ({ store: { sql } }: Reader) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: DeviceParams },
      responses: { 200: json(DeviceView, 'The device'), ...problems },
    }),
    async (c) => {
      const device = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
      return c.json(viewDevice(device), 200, { etag: etagOf(device.version) });
    },
  );

const change = ({ store, adapters, platforms }: Writer) =>
  operation(
    createRoute({
      method: 'patch',
      path: '/devices/{id}',
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams, body: body(DeviceChange) },
      responses: { 200: json(DeviceView, 'Changed'), ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { organizationId } = c.get('actor');
      const wanted = c.req.valid('json');
      if (wanted.adapter !== undefined) adapters.get(wanted.adapter);
      const entry = { action: 'device.change', subject: `device:${id}`, detail: { fields: Object.keys(wanted) } };
      const changed = await audited(callerOf(c), store, entry, async (unit) => {
        const device = await lockFoundDevice(unit.tx, organizationId, id);
        checkIfMatch(c, device.version);
        await changeDevice(unit, platforms.providers, device, wanted);
        return findDevice(unit.tx, organizationId, id);
      });
      return c.json(viewDevice(changed), 200, { etag: etagOf(changed.version) });
    },
  );

const remove = ({ store, workspaces }: Remover) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/devices/{id}',
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams },
      responses: { 204: { description: 'Deleted, with its keys and history' }, ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { organizationId } = c.get('actor');
      const workspace = await audited(callerOf(c), store, { action: 'device.delete', subject: `device:${id}` }, async (unit) => {
        const device = await lockFoundDevice(unit.tx, organizationId, id);
        checkIfMatch(c, device.version);
        await cancelDeployments(unit, organizationId, [id]);
        await deleteDevice(unit.tx, organizationId, id);
        await announceEndedKeys(unit.tx);
        const data = { name: device.name, syncStatus: 'unmanaged', connectivity: 'offline', status: 'OFFLINE' } as const;
        unit.emit({ organizationId, type: 'device.deleted', subject: `device:${id}`, data });
        return device.workspace;
      });
      if (workspace !== null) await workspaces.remove(workspace);
      return c.body(null, 204);
    },
  );

/** A device that is bound to another source gets the folder that is usual there, unless the change names one. */
async function changeDevice(
  unit: Unit,
  providers: Providers,
  device: Device,
  { attributes, ...wanted }: z.output<typeof DeviceChange>,
): Promise<void> {
  const { organizationId, id } = device;
  await checkSite(unit, organizationId, wanted.siteId ?? null);
  const sourceId = wanted.sourceId === undefined ? device.sourceId : wanted.sourceId;
  const usual = sourceId === device.sourceId ? device.path : await defaultPath(unit, organizationId, sourceId, id);
  const following = wanted.sourceId === null ? false : device.following;
  await updateDevice(unit.tx, device, { ...wanted, path: wanted.path ?? usual, following });
  await editFields(unit, providers, device, { ...wanted, attributes: attributes as Values | undefined });
  const fields = [...Object.keys(wanted), ...Object.keys(attributes ?? {}).map((name) => `attributes.${name}`)];
  unit.emit({ organizationId, type: 'device.changed', subject: `device:${id}`, data: { fields } });
  await convergeDevice(unit, { ...device, sourceId });
}
