import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { DeviceId, isDeviceId, SYNC_STATUSES } from '../../device/device.ts';
import { announceEndedKeys } from '../../device/store/keys.ts';
import { deleteDevice, deviceById, listDevices, lockDevice, updateDevice } from '../../device/store.ts';
import { notFound } from '../../errors.ts';
import { body, checkIfMatch, decodeCursor, etagOf, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { NewDevice } from '../../inventory/new-device.ts';
import { checkSite, defaultPath, registerDevice } from '../../inventory/register.ts';
import { callOffDevices, convergeDevice } from '../../rollout/converge.ts';
import { callerOf, createApi, role } from '../env.ts';
import type { Services } from '../services.ts';
import { DeviceChange, DeviceView, RegisteredDevice, viewDevice } from './schemas.ts';

export const DeviceParams = z.object({ id: DeviceId });
const tags = ['Devices'];

const DevicesQuery = PageQuery.extend({
  status: z.enum(SYNC_STATUSES).optional(),
  connectivity: z.enum(['online', 'offline', 'unknown']).optional(),
  site: z.uuid().optional(),
  source: z.uuid().optional(),
  type: z.string().max(100).optional(),
  label: z
    .string()
    .regex(/^[^=]{1,63}=.{0,253}$/, 'must be key=value')
    .optional(),
  q: z.string().max(200).optional(),
});

/** Register, list, show, change, delete. */
export function deviceRoutes(services: Services) {
  const { store, adapters } = services;
  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/devices',
        tags,
        middleware: [role('viewer')] as const,
        request: { query: DevicesQuery },
        responses: { 200: json(page(DeviceView), 'Devices in the order of their ids'), ...problems },
      }),
      async (c) => {
        const { limit, cursor, status, connectivity, site, source, type, label, q } = c.req.valid('query');
        const [key = '', ...value] = label?.split('=') ?? [];
        const filter = {
          status,
          connectivity,
          siteId: site,
          sourceId: source,
          type,
          q,
          label: label === undefined ? undefined : { key, value: value.join('=') },
        };
        const rows = await listDevices(store.sql, c.get('actor').organizationId, filter, decodeCursor(cursor, isDeviceId) ?? '', limit + 1);
        return c.json(
          toPage(rows, limit, (device) => device.id, viewDevice),
          200,
        );
      },
    )
    .openapi(
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
        const detail = { type: wanted.type, sourceId: wanted.sourceId };
        const { apiKey, device } = await audited(
          callerOf(c),
          store,
          { action: 'device.register', subject: `device:${wanted.id}`, detail },
          async (unit) => {
            const key = await registerDevice(unit, {
              ...wanted,
              organizationId,
              name: wanted.name ?? wanted.id,
              following: start && wanted.sourceId !== null,
            });
            return { apiKey: key, device: await deviceById(unit.tx, organizationId, wanted.id) };
          },
        );
        if (device === undefined) throw notFound('device', wanted.id);
        return c.json({ ...viewDevice(device), apiKey }, 201, { etag: etagOf(device.version), location: `devices/${device.id}` });
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/devices/{id}',
        tags,
        middleware: [role('viewer')] as const,
        request: { params: DeviceParams },
        responses: { 200: json(DeviceView, 'The device'), ...problems },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const device = await deviceById(store.sql, c.get('actor').organizationId, id);
        if (device === undefined) throw notFound('device', id);
        return c.json(viewDevice(device), 200, { etag: etagOf(device.version) });
      },
    )
    .openapi(
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
        const change = c.req.valid('json');
        if (change.adapter !== undefined) adapters.get(change.adapter);
        const changed = await audited(
          callerOf(c),
          store,
          { action: 'device.change', subject: `device:${id}`, detail: { fields: Object.keys(change) } },
          async (unit) => {
            const device = await lockDevice(unit.tx, organizationId, id);
            if (device === undefined) throw notFound('device', id);
            checkIfMatch(c, device.version);
            await checkSite(unit, organizationId, change.siteId ?? null);
            const rebound = change.sourceId !== undefined && change.sourceId !== device.sourceId;
            const usual = rebound ? await defaultPath(unit, organizationId, change.sourceId ?? null, id) : device.path;
            const path = change.path ?? usual;
            await updateDevice(unit.tx, device, { ...change, path, following: change.sourceId === null ? false : device.following });
            unit.emit({ organizationId, type: 'device.changed', subject: `device:${id}`, data: { fields: Object.keys(change) } });
            await convergeDevice(unit, { ...device, sourceId: change.sourceId === undefined ? device.sourceId : change.sourceId });
            return deviceById(unit.tx, organizationId, id);
          },
        );
        if (changed === undefined) throw notFound('device', id);
        return c.json(viewDevice(changed), 200, { etag: etagOf(changed.version) });
      },
    )
    .openapi(
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
          const { tx, emit } = unit;
          const device = await lockDevice(tx, organizationId, id);
          if (device === undefined) throw notFound('device', id);
          checkIfMatch(c, device.version);
          await callOffDevices(unit, organizationId, [id]);
          await deleteDevice(tx, organizationId, id);
          await announceEndedKeys(tx);
          emit({
            organizationId,
            type: 'device.deleted',
            subject: `device:${id}`,
            data: { name: device.name, syncStatus: 'unmanaged', connectivity: 'offline', status: 'OFFLINE' },
          });
          return device.workspace;
        });
        if (workspace !== null) await services.workspaces.remove(workspace);
        return c.body(null, 204);
      },
    );
}
