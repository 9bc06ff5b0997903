import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import { type Device, legacyStatus } from '../../device/device.ts';
import { listLogLines } from '../../device/store/logs.ts';
import { deviceById, listDevices } from '../../device/store.ts';
import { notFound } from '../../errors.ts';
import { body, json, problems } from '../../http/kit.ts';
import { limitBody } from '../../http/limits.ts';
import { actOnDevice, type DeviceAction, refreshDevice, startDevice, stopDevice } from '../../inventory/commands.ts';
import { registerDevice } from '../../inventory/register.ts';
import { siteOf } from '../../organization/store.ts';
import type { Previews } from '../../preview/preview.ts';
import type { Source } from '../../source/source.ts';
import { sourcesOf } from '../../source/store.ts';
import { DeviceParams } from '../device/devices.ts';
import { devicePreviewRoutes } from '../device/preview.ts';
import { callerOf, createApi, type Env, role } from '../env.ts';
import type { Services } from '../services.ts';
import {
  IP_LABEL,
  SeedActed,
  SeedDashboardDevice,
  SeedDashboardStatus,
  SeedNewDevice,
  SeedRegisteredDevice,
  viewSeedDevice,
} from './schemas.ts';

/** Registration below a site, as the older protocol does it. */
export function seedSiteRoutes({ store }: Services) {
  return createApi().openapi(
    createRoute({
      method: 'post',
      path: '/devices/sites/{site_id}/devices',
      tags: ['Devices in the field'],
      middleware: [role('operator')] as const,
      request: {
        params: z.object({ site_id: z.string().min(1).max(200).openapi({ description: 'Id or name of the site' }) }),
        body: body(SeedNewDevice),
      },
      responses: { 201: json(SeedRegisteredDevice, 'Registered, with its key'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { site_id } = c.req.valid('param');
      const { device_id: id, name, device_type: type, ip_address: ip } = c.req.valid('json');
      const registered = await audited(
        callerOf(c),
        store,
        { action: 'device.register', subject: `device:${id}`, detail: { type, site: site_id } },
        async (unit) => {
          const site = await siteOf(unit.tx, organizationId, site_id);
          if (site === undefined) throw notFound('site', site_id);
          const labels: Record<string, string> = ip ? { [IP_LABEL]: ip } : {};
          const unbound = { adapter: 'agent', simulated: false, sourceId: null, following: false };
          const apiKey = await registerDevice(unit, { organizationId, id, name: name ?? id, type, labels, siteId: site.id, ...unbound });
          const device = await deviceById(unit.tx, organizationId, id);
          if (device === undefined) throw notFound('device', id);
          return viewSeedDevice(device, site.id, apiKey);
        },
      );
      return c.json(registered, 201);
    },
  );
}

/** Devices that one answer of `GET /api/devices` lists; `Link: …; rel="next"` leads on. */
const LIST_LIMIT = 1_000;
const LOG_LINES = 100;

const describe = <const Path extends string, S extends z.ZodType>(method: 'get' | 'post', path: Path, answer: S, description: string) =>
  createRoute({
    method,
    path,
    tags: ['Older dashboards'],
    middleware: [role(method === 'get' ? 'viewer' : 'operator')] as const,
    request: { params: DeviceParams },
    responses: { 200: json(answer, description), ...problems },
  });
const listRoute = createRoute({
  method: 'get',
  path: '/devices',
  tags: ['Older dashboards'],
  middleware: [role('viewer')] as const,
  request: { query: z.object({ after: z.string().max(63).optional().openapi({ description: 'Id of the last device seen' }) }) },
  responses: {
    200: {
      description: `Devices in the order of their ids, at most ${LIST_LIMIT}; the header Link leads on`,
      content: { 'application/json': { schema: z.array(SeedDashboardDevice) } },
    },
    ...problems,
  },
});

/** `/api/devices`: the older dashboards' API, with the status words that `device_update` carries. */
export function seedDashboardRoutes(services: Services, previews: Previews) {
  const { store } = services;
  const demand = async (c: Context<Env>, id: string): Promise<Device> => {
    const device = await deviceById(store.sql, c.get('actor').organizationId, id);
    if (device === undefined) throw notFound('device', id);
    return device;
  };
  const acted = async (c: Context<Env>, id: string, name: 'start' | 'stop' | 'refresh', work: DeviceAction) => {
    const device = await actOnDevice(callerOf(c), store, id, { action: `device.${name}` }, work);
    return { device_id: device.id, status: legacyStatus(device), timestamp: new Date().toISOString() };
  };
  const app = createApi();
  app.use('/devices/*', services.tokenAuth.require, limitBody());
  app.openapi(listRoute, async (c) => {
    const { organizationId } = c.get('actor');
    const rows = await listDevices(store.sql, organizationId, {}, c.req.valid('query').after ?? '', LIST_LIMIT + 1);
    const shown = rows.slice(0, LIST_LIMIT);
    const sources = await sourcesByDevice(services, organizationId, shown);
    const last = shown.at(-1);
    if (rows.length > LIST_LIMIT && last !== undefined) c.header('link', `<devices?after=${encodeURIComponent(last.id)}>; rel="next"`);
    return c.json(
      shown.map((device) => viewDashboardDevice(device, sources.get(device.sourceId ?? ''))),
      200,
    );
  });
  app.openapi(describe('post', '/devices/{id}/start', SeedActed, 'It follows its source'), async (c) =>
    c.json(await acted(c, c.req.valid('param').id, 'start', startDevice), 200),
  );
  app.openapi(describe('post', '/devices/{id}/stop', SeedActed, 'It no longer follows its source'), async (c) =>
    c.json(await acted(c, c.req.valid('param').id, 'stop', stopDevice), 200),
  );
  app.openapi(describe('post', '/devices/{id}/refresh', SeedActed, 'Its source is looked at now'), async (c) =>
    c.json(await acted(c, c.req.valid('param').id, 'refresh', refreshDevice), 200),
  );
  app.openapi(describe('get', '/devices/{id}/status', SeedDashboardStatus, 'How it stands, with its last log lines'), async (c) => {
    const device = await demand(c, c.req.valid('param').id);
    const sources = await sourcesByDevice(services, device.organizationId, [device]);
    const lines = await listLogLines(store.sql, device.organizationId, device.id, null, LOG_LINES);
    const logs = lines.reverse().map(({ at, level, message }) => ({ timestamp: at.toISOString(), level, message }));
    return c.json({ ...viewDashboardDevice(device, sources.get(device.sourceId ?? '')), logs }, 200);
  });
  app.route('/', devicePreviewRoutes(services, previews));
  return app;
}

async function sourcesByDevice(services: Services, organizationId: string, devices: readonly Device[]): Promise<Map<string, Source>> {
  const ids = devices.flatMap((device) => device.sourceId ?? []);
  return new Map((await sourcesOf(services.store.sql, organizationId, ids)).map((source) => [source.id, source]));
}

function viewDashboardDevice(device: Device, source: Source | undefined): z.output<typeof SeedDashboardDevice> {
  return {
    id: device.id,
    device_id: device.id,
    name: device.name,
    device_type: device.type,
    status: legacyStatus(device),
    auto_update: device.following,
    check_interval: source?.pollIntervalSeconds ?? null,
    repository: source?.url ?? null,
    branch: source?.ref ?? null,
    path: device.path,
    last_commit: source?.headCommit ?? null,
    last_seen: device.lastSeenAt?.toISOString() ?? null,
    error: device.errorCode === null ? null : `${device.errorCode}: ${device.errorDetail ?? ''}`,
    timestamp: device.updatedAt.toISOString(),
  };
}
