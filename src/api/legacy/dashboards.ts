import { createRoute, z } from '@hono/zod-openapi';
import type { Sql } from '../../db/connect.ts';
import { type Device, legacyStatus } from '../../device/device.ts';
import { listDevices } from '../../device/store/list.ts';
import { listLogLines } from '../../device/store/logs.ts';
import type { Store } from '../../event/transact.ts';
import { json, problems } from '../../http/kit.ts';
import { limitBody } from '../../http/limits.ts';
import { actOnDevice, refreshDevice, startDevice, stopDevice } from '../../inventory/commands.ts';
import type { Previews } from '../../preview/preview.ts';
import type { Source } from '../../source/source.ts';
import { sourcesOf } from '../../source/store.ts';
import { DeviceParams, findDevice } from '../device/find.ts';
import { devicePreviewRoutes } from '../device/preview.ts';
import { callerOf, createApi, mountOn, operation, role } from '../env.ts';
import type { OperatorAuth } from '../operator-auth.ts';
import { LegacyCommanded, LegacyDashboardDevice, LegacyDashboardStatus } from './schemas.ts';

type Deps = { store: Store; operatorAuth: OperatorAuth; previews: Previews };

/** `/api/devices`: the API of the earlier dashboards, with the status words of `device_update`. They are pages of other origins and send a token: no session. */
export function legacyDashboardRoutes(deps: Deps) {
  const app = createApi();
  app.use('/devices/*', deps.operatorAuth.requireToken, limitBody());
  mountOn(app, listAll(deps), start(deps), stop(deps), refresh(deps), showStatus(deps));
  app.route('/', devicePreviewRoutes(deps));
  return app;
}

/** One answer of `GET /api/devices` lists this many devices; `Link: …; rel="next"` names the next page. */
const LIST_LIMIT = 1_000;
const LOG_LINES = 100;
const tags = ['Older dashboards'];
const security = [{ bearer: [] }];

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices',
      tags,
      security,
      middleware: [role('viewer')] as const,
      request: {
        query: z.object({ after: z.string().max(63).optional().openapi({ description: 'Id of the last device of the previous page' }) }),
      },
      responses: {
        200: {
          description: `Devices in the order of their ids, at most ${LIST_LIMIT}; the header Link has the next page`,
          content: { 'application/json': { schema: z.array(LegacyDashboardDevice) } },
        },
        ...problems,
      },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const id = c.req.valid('query').after ?? '';
      const page = { sort: 'id', descending: false, after: { key: id, id }, limit: LIST_LIMIT + 1 } as const;
      const rows = await listDevices(sql, organizationId, {}, page);
      const shown = rows.slice(0, LIST_LIMIT);
      const sources = await sourcesByDevice(sql, organizationId, shown);
      const last = shown.at(-1);
      if (rows.length > LIST_LIMIT && last !== undefined) c.header('link', `<devices?after=${encodeURIComponent(last.id)}>; rel="next"`);
      return c.json(
        shown.map((device) => viewDashboardDevice(device, sources.get(device.sourceId ?? ''))),
        200,
      );
    },
  );

const start = ({ store }: Deps) =>
  operation(ofDevice('post', '/devices/{id}/start', LegacyCommanded, 'The device follows its source'), async (c) => {
    const device = await actOnDevice(callerOf(c), store, c.req.valid('param').id, { action: 'device.start' }, startDevice);
    return c.json(viewCommanded(device), 200);
  });

const stop = ({ store }: Deps) =>
  operation(ofDevice('post', '/devices/{id}/stop', LegacyCommanded, 'The device no longer follows its source'), async (c) => {
    const device = await actOnDevice(callerOf(c), store, c.req.valid('param').id, { action: 'device.stop' }, stopDevice);
    return c.json(viewCommanded(device), 200);
  });

const refresh = ({ store }: Deps) =>
  operation(ofDevice('post', '/devices/{id}/refresh', LegacyCommanded, 'Checks its source now'), async (c) => {
    const device = await actOnDevice(callerOf(c), store, c.req.valid('param').id, { action: 'device.refresh' }, refreshDevice);
    return c.json(viewCommanded(device), 200);
  });

const showStatus = ({ store: { sql } }: Deps) =>
  operation(ofDevice('get', '/devices/{id}/status', LegacyDashboardStatus, 'Status of the device, with its last log lines'), async (c) => {
    const device = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
    const sources = await sourcesByDevice(sql, device.organizationId, [device]);
    const lines = await listLogLines(sql, { ...device, deviceId: device.id }, {}, { place: null, newestFirst: true, limit: LOG_LINES });
    const logs = lines.reverse().map(({ at, level, message }) => ({ timestamp: at.toISOString(), level, message }));
    return c.json({ ...viewDashboardDevice(device, sources.get(device.sourceId ?? '')), logs }, 200);
  });

function ofDevice<const Path extends string, S extends z.ZodType>(method: 'get' | 'post', path: Path, answer: S, description: string) {
  return createRoute({
    method,
    path,
    tags,
    security,
    middleware: [role(method === 'get' ? 'viewer' : 'operator')] as const,
    request: { params: DeviceParams },
    responses: { 200: json(answer, description), ...problems },
  });
}

function viewCommanded(device: Device): z.output<typeof LegacyCommanded> {
  return { device_id: device.id, status: legacyStatus(device), timestamp: new Date().toISOString() };
}

async function sourcesByDevice(sql: Sql, organizationId: string, devices: readonly Device[]): Promise<Map<string, Source>> {
  const ids = devices.flatMap((device) => device.sourceId ?? []);
  return new Map((await sourcesOf(sql, organizationId, ids)).map((source) => [source.id, source]));
}

function viewDashboardDevice(device: Device, source: Source | undefined): z.output<typeof LegacyDashboardDevice> {
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
