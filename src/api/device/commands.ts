import { createRoute, z } from '@hono/zod-openapi';
import type { Adapters } from '../../adapter/registry.ts';
import { audited } from '../../audit/audited.ts';
import { shownCommand } from '../../command/redact.ts';
import type { Device } from '../../device/device.ts';
import { conflict } from '../../errors.ts';
import type { Store, Unit } from '../../event/transact.ts';
import { body, json, problems } from '../../http/kit.ts';
import { actOnDevice, queueCommand, refreshDevice, startDevice, stopDevice } from '../../inventory/commands.ts';
import { rotateKey } from '../../inventory/register.ts';
import { sourcePath } from '../../revision/store.ts';
import { deploy } from '../../rollout/converge.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { DeviceParams, lockFoundDevice } from './find.ts';
import { LegacyCommand, viewLegacyCommand } from './legacy-command.ts';
import { CommandView, DeviceView, NewCommand, viewCommand, viewDevice } from './schemas.ts';

type Deps = { store: Store; adapters: Adapters };

/** Commands to the service about one device: whether and when it gets its source's bundle. */
export const deviceCommandRoutes = (deps: Deps) => mount(start(deps), stop(deps), refresh(deps), retry(deps));

/** Commands that the device itself runs, and its keys. */
export const deviceAccessRoutes = (deps: Deps) => mount(queue(deps), renewKey(deps));

const tags = ['Devices'];

const start = ({ store }: Deps) =>
  operation(command('start', 'The device follows its source'), async (c) => {
    const device = await actOnDevice(callerOf(c), store, c.req.valid('param').id, { action: 'device.start' }, startDevice);
    return c.json(viewDevice(device), 200);
  });

const stop = ({ store }: Deps) =>
  operation(command('stop', 'The device no longer follows its source and keeps its files'), async (c) => {
    const device = await actOnDevice(callerOf(c), store, c.req.valid('param').id, { action: 'device.stop' }, stopDevice);
    return c.json(viewDevice(device), 200);
  });

const refresh = ({ store }: Deps) =>
  operation(command('refresh', 'Checks its source now'), async (c) => {
    const device = await actOnDevice(callerOf(c), store, c.req.valid('param').id, { action: 'device.refresh' }, refreshDevice);
    return c.json(viewDevice(device), 200);
  });

const retry = ({ store }: Deps) =>
  operation(command('retry', 'Tries the failed bundle again, even if the device has quarantined it'), async (c) => {
    const device = await actOnDevice(callerOf(c), store, c.req.valid('param').id, { action: 'device.retry' }, redeploy);
    return c.json(viewDevice(device), 200);
  });

const queue = ({ store, adapters }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/devices/{id}/commands',
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams, body: body(NewCommand) },
      responses: { 201: json(z.union([CommandView, LegacyCommand]), 'Queued; the answer has the form of the request'), ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { type, command_type, payload, ttlSeconds } = c.req.valid('json');
      const { organizationId, name: createdBy } = c.get('actor');
      const wanted = { type: type ?? command_type ?? '', payload: payload ?? {}, ttlSeconds, createdBy };
      const entry = { action: 'device.command', subject: `device:${id}`, detail: { type: wanted.type } };
      const queued = await audited(callerOf(c), store, entry, async (unit) => {
        const device = await lockFoundDevice(unit.tx, organizationId, id);
        return queueCommand(unit, device, adapters.find(device.adapter), wanted);
      });
      return type === undefined ? c.json(viewLegacyCommand(shownCommand(queued)), 201) : c.json(viewCommand(queued), 201);
    },
  );

const renewKey = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/devices/{id}/keys',
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams },
      responses: {
        201: json(z.object({ apiKey: z.string() }), 'A new key, shown only once; older keys work for another day'),
        ...problems,
      },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { organizationId } = c.get('actor');
      const apiKey = await audited(callerOf(c), store, { action: 'device.rotate_key', subject: `device:${id}` }, async (unit) => {
        await lockFoundDevice(unit.tx, organizationId, id);
        return rotateKey(unit, organizationId, id);
      });
      return c.json({ apiKey }, 201);
    },
  );

function command<const Name extends string>(name: Name, description: string) {
  return createRoute({
    method: 'post',
    path: `/devices/{id}/${name}`,
    tags,
    middleware: [role('operator')] as const,
    request: { params: DeviceParams },
    responses: { 200: json(DeviceView, description), ...problems },
  });
}

/** Deploys the bundle of the device's folder once more, also one that the device has quarantined. @throws Problem `nothing_to_retry` */
async function redeploy(unit: Unit, { organizationId, id: deviceId, sourceId, path }: Device): Promise<void> {
  const folder = sourceId === null || path === null ? undefined : await sourcePath(unit.tx, organizationId, sourceId, path);
  if (folder?.bundle == null) throw conflict('nothing_to_retry', `Cannot retry on device "${deviceId}": its folder has no valid bundle`);
  const { bundle, revisionId } = folder;
  await deploy(unit, organizationId, [{ deviceId, bundle, revisionId }], { kind: 'retry', force: true });
}
