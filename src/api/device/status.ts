import { createRoute, z } from '@hono/zod-openapi';
import { isAssigned, latestPush } from '../../adapter/pushes-store.ts';
import type { Adapters } from '../../adapter/registry.ts';
import type { Sql } from '../../db/connect.ts';
import { failuresForDevice } from '../../db/job-failures-store.ts';
import { newestDeployment } from '../../deployment/store.ts';
import type { Device } from '../../device/device.ts';
import { foldedName } from '../../device/folders.ts';
import { foldersNamed } from '../../device/folders-store.ts';
import { instancesOf } from '../../device/instances-store.ts';
import { reenrolmentOf } from '../../device/reenrolment-store.ts';
import type { Store } from '../../event/transact.ts';
import { json, problems } from '../../http/kit.ts';
import { why } from '../../inventory/why.ts';
import { siteHoldOf } from '../../organization/store.ts';
import { sourcePath } from '../../revision/store.ts';
import { newestRollout } from '../../rollout/store/store.ts';
import { sourceOf } from '../../source/store.ts';
import { mount, operation, role } from '../env.ts';
import { DeviceParams, findDevice } from './find.ts';
import { DeploymentView, DeviceView, viewDeployment, viewDevice } from './schemas.ts';

type Deps = { store: Store; adapters: Adapters };

/** The state of one device, and the reasons why it does not run its source's head. */
export const deviceStatusRoutes = (deps: Deps) => mount(showStatus(deps), showWhy(deps));

const tags = ['Devices'];
const Blocker = z
  .object({ code: z.string(), detail: z.string(), since: z.iso.datetime().nullable(), unblockedBy: z.string() })
  .openapi('Blocker');
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

const showStatus = ({ store: { sql }, adapters }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}/status',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: DeviceParams },
      responses: { 200: json(Status, 'Its full state'), ...problems },
    }),
    async (c) => {
      const state = await loadState(sql, adapters, await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id));
      const { device, source, path, deployment } = state;
      const blockers = blockersOf(state);
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
  );

const showWhy = ({ store: { sql }, adapters }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}/why',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: DeviceParams },
      responses: {
        200: json(z.array(Blocker), 'Blockers between the device and its source’s head, first one first; empty when converged'),
        ...problems,
      },
    }),
    async (c) => {
      const device = await findDevice(sql, c.get('actor').organizationId, c.req.valid('param').id);
      return c.json(blockersOf(await loadState(sql, adapters, device)), 200);
    },
  );

type State = Parameters<typeof why>[0];

function blockersOf(state: State): z.output<typeof Blocker>[] {
  return why(state).map((blocker) => ({ ...blocker, since: blocker.since?.toISOString() ?? null }));
}

async function loadState(sql: Sql, adapters: Adapters, device: Device) {
  const { organizationId, id } = device;
  const source = device.sourceId === null ? undefined : await sourceOf(sql, organizationId, device.sourceId);
  const path = source === undefined || device.path === null ? undefined : await sourcePath(sql, organizationId, source.id, device.path);
  const deployment = await newestDeployment(sql, organizationId, id);
  const rollout = source === undefined ? undefined : await newestRollout(sql, organizationId, source.id);
  const siteHold = device.siteId === null ? null : await siteHoldOf(sql, organizationId, device.siteId);
  const failures = await failuresForDevice(sql, organizationId, id);
  const isLost = source !== undefined && device.path !== null && (path === undefined || path.verdict === 'missing');
  const namesakes = isLost ? await foldersNamed(sql, { organizationId, sourceId: source.id }, [foldedName(device.path ?? '')]) : [];
  const instances = device.clonedSince === null ? [] : ((await instancesOf(sql, organizationId, [id])).get(id) ?? []);
  const adapter = adapters.find(device.adapter);
  const isPlatform = adapter?.delivery === 'push' && adapter.needsAssignment;
  return {
    ...(await loadPush(sql, device, isPlatform)),
    ...{ device, source, path, deployment, failures, retryAt: deployment?.retryAt ?? null, rollout, siteHold, instances, now: new Date() },
    namesakes: namesakes.map((folder) => folder.path),
    reenrolment: await reenrolmentOf(sql, organizationId, id),
  };
}

async function loadPush(sql: Sql, { organizationId, id, adapter }: Device, isPlatform: boolean) {
  if (!isPlatform) return {};
  return { push: await latestPush(sql, organizationId, id), isUnassigned: !(await isAssigned(sql, organizationId, id, adapter)) };
}
