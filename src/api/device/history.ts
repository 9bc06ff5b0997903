import { createRoute, z } from '@hono/zod-openapi';
import { listBackups } from '../../backup/store.ts';
import { listCommands } from '../../command/store.ts';
import { failuresForDevice } from '../../db/job-failures-store.ts';
import { listDeployments, newestDeployment } from '../../deployment/store.ts';
import { foldedName } from '../../device/folders.ts';
import { foldersNamed } from '../../device/folders-store.ts';
import { instancesOf } from '../../device/instances-store.ts';
import { reenrolmentOf } from '../../device/reenrolment-store.ts';
import { listLogLines } from '../../device/store/logs.ts';
import { deviceById } from '../../device/store.ts';
import { notFound } from '../../errors.ts';
import { viewEvent } from '../../event/event.ts';
import { eventsOfSubject } from '../../event/store.ts';
import { decodeIdCursor, decodeNumberCursor, decodeTimeCursor, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { why } from '../../inventory/why.ts';
import { siteHoldOf } from '../../organization/store.ts';
import { sourcePath } from '../../revision/store.ts';
import { newestRollout } from '../../rollout/store/store.ts';
import { sourceOf } from '../../source/store.ts';
import { listTelemetry } from '../../telemetry/store.ts';
import { createApi, role } from '../env.ts';
import { EventView } from '../organization/event-schemas.ts';
import type { Services } from '../services.ts';
import { DeviceParams } from './devices.ts';
import { CommandView, DeploymentView, DeviceView, viewCommand, viewDeployment, viewDevice } from './schemas.ts';

const tags = ['Devices'];
const time = z.iso.datetime();
const Blocker = z.object({ code: z.string(), detail: z.string(), since: time.nullable(), unblockedBy: z.string() }).openapi('Blocker');
const Backup = z
  .object({
    id: z.string(),
    bundle: z.string().nullable(),
    revisionId: z.string().nullable(),
    reportedBundle: z.string().nullable(),
    deploymentId: z.string().nullable(),
    createdAt: time,
  })
  .openapi('Backup');
const LogLine = z
  .object({ id: z.number(), at: time, level: z.string(), message: z.string(), deploymentId: z.string().nullable() })
  .openapi('LogLine');
const Sample = z.object({ at: time, metrics: z.record(z.string(), z.number()) }).openapi('TelemetrySample');
const Status = z
  .object({
    device: DeviceView,
    converged: z.boolean(),
    why: z.array(Blocker),
    deployment: DeploymentView.nullable(),
    source: z.object({ id: z.string(), name: z.string(), status: z.string(), headCommit: z.string().nullable() }).nullable(),
    folder: z.object({ path: z.string(), verdict: z.string(), bundle: z.string().nullable() }).nullable(),
    driftedPaths: z.array(z.string()),
  })
  .openapi('DeviceStatus');

/** What a device is, was and did: status, why, and its lists, newest first. */
export function deviceHistoryRoutes({ store }: Services) {
  const { sql } = store;
  const list = <S extends z.ZodType>(name: 'deployments' | 'logs' | 'backups' | 'telemetry' | 'commands' | 'events', item: S) =>
    createRoute({
      method: 'get',
      path: `/devices/{id}/${name}`,
      tags,
      middleware: [role('viewer')] as const,
      request: { params: DeviceParams, query: PageQuery },
      responses: { 200: json(page(item), `Its ${name}, newest first`), ...problems },
    });
  const demand = async (organizationId: string, id: string) => {
    const device = await deviceById(sql, organizationId, id);
    if (device === undefined) throw notFound('device', id);
    return device;
  };
  const snapshot = async (organizationId: string, id: string) => {
    const device = await demand(organizationId, id);
    const source = device.sourceId === null ? undefined : await sourceOf(sql, organizationId, device.sourceId);
    const path = source === undefined || device.path === null ? undefined : await sourcePath(sql, organizationId, source.id, device.path);
    const deployment = await newestDeployment(sql, organizationId, id);
    const rollout = source === undefined ? undefined : await newestRollout(sql, organizationId, source.id);
    const siteHold = device.siteId === null ? null : await siteHoldOf(sql, organizationId, device.siteId);
    const failures = await failuresForDevice(sql, organizationId, id);
    const isLost = source !== undefined && device.path !== null && (path === undefined || path.verdict === 'missing');
    const namesakes = isLost ? await foldersNamed(sql, { organizationId, sourceId: source.id }, [foldedName(device.path ?? '')]) : [];
    const instances = device.clonedSince === null ? [] : ((await instancesOf(sql, organizationId, [id])).get(id) ?? []);
    return {
      ...{
        device,
        source,
        path,
        deployment,
        failures,
        retryAt: deployment?.retryAt ?? null,
        rollout,
        siteHold,
        instances,
        now: new Date(),
      },
      namesakes: namesakes.map((folder) => folder.path),
      reenrolment: await reenrolmentOf(sql, organizationId, id),
    };
  };
  const blockersOf = (seen: Awaited<ReturnType<typeof snapshot>>) =>
    why(seen).map((blocker) => ({ ...blocker, since: blocker.since?.toISOString() ?? null }));

  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/devices/{id}/status',
        tags,
        middleware: [role('viewer')] as const,
        request: { params: DeviceParams },
        responses: { 200: json(Status, 'Its full state'), ...problems },
      }),
      async (c) => {
        const seen = await snapshot(c.get('actor').organizationId, c.req.valid('param').id);
        const { device, source, path, deployment } = seen;
        const blockers = blockersOf(seen);
        const answer = {
          device: viewDevice(device),
          converged: blockers.length === 0,
          why: blockers,
          deployment: deployment === undefined ? null : viewDeployment(deployment),
          source: source === undefined ? null : { id: source.id, name: source.name, status: source.status, headCommit: source.headCommit },
          folder: path === undefined ? null : { path: path.path, verdict: path.verdict, bundle: path.bundle },
          driftedPaths: device.driftedPaths ?? [],
        };
        return c.json(answer, 200);
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/devices/{id}/why',
        tags,
        middleware: [role('viewer')] as const,
        request: { params: DeviceParams },
        responses: {
          200: json(z.array(Blocker), 'What keeps it from its source’s head, first blocker first; empty when converged'),
          ...problems,
        },
      }),
      async (c) => c.json(blockersOf(await snapshot(c.get('actor').organizationId, c.req.valid('param').id)), 200),
    )
    .openapi(list('deployments', DeploymentView), async (c) => {
      const { limit, cursor } = c.req.valid('query');
      const device = await demand(c.get('actor').organizationId, c.req.valid('param').id);
      const rows = await listDeployments(sql, device.organizationId, device.id, decodeIdCursor(cursor), limit + 1);
      return c.json(
        toPage(rows, limit, (row) => row.id, viewDeployment),
        200,
      );
    })
    .openapi(list('logs', LogLine), async (c) => {
      const { limit, cursor } = c.req.valid('query');
      const device = await demand(c.get('actor').organizationId, c.req.valid('param').id);
      const rows = await listLogLines(sql, device.organizationId, device.id, decodeNumberCursor(cursor), limit + 1);
      return c.json(
        toPage(
          rows,
          limit,
          (row) => row.id,
          (row) => ({ ...row, at: row.at.toISOString() }),
        ),
        200,
      );
    })
    .openapi(list('backups', Backup), async (c) => {
      const device = await demand(c.get('actor').organizationId, c.req.valid('param').id);
      const rows = await listBackups(sql, device.organizationId, device.id);
      const items = rows.map(({ deviceId: _deviceId, createdAt, ...row }) => ({ ...row, createdAt: createdAt.toISOString() }));
      return c.json({ items, nextCursor: null }, 200);
    })
    .openapi(list('telemetry', Sample), async (c) => {
      const { limit, cursor } = c.req.valid('query');
      const device = await demand(c.get('actor').organizationId, c.req.valid('param').id);
      const rows = await listTelemetry(sql, device.organizationId, device.id, decodeTimeCursor(cursor), limit + 1);
      return c.json(
        toPage(
          rows,
          limit,
          (row) => row.at.toISOString(),
          (row) => ({ at: row.at.toISOString(), metrics: row.metrics }),
        ),
        200,
      );
    })
    .openapi(list('commands', CommandView), async (c) => {
      const { limit, cursor } = c.req.valid('query');
      const device = await demand(c.get('actor').organizationId, c.req.valid('param').id);
      const rows = await listCommands(sql, device.organizationId, device.id, decodeIdCursor(cursor), limit + 1);
      return c.json(
        toPage(rows, limit, (row) => row.id, viewCommand),
        200,
      );
    })
    .openapi(list('events', EventView), async (c) => {
      const { limit, cursor } = c.req.valid('query');
      const device = await demand(c.get('actor').organizationId, c.req.valid('param').id);
      const rows = await eventsOfSubject(sql, device.organizationId, `device:${device.id}`, decodeNumberCursor(cursor), limit + 1);
      return c.json(
        toPage(rows, limit, (row) => row.cursor, viewEvent),
        200,
      );
    });
}
