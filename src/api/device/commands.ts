import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import { backupOf, listBackups } from '../../backup/store.ts';
import { bundleManifest } from '../../bundle/store.ts';
import { shownCommand } from '../../command/redact.ts';
import type { Device } from '../../device/device.ts';
import { lockDevice } from '../../device/store.ts';
import { conflict, invalid, notFound } from '../../errors.ts';
import type { Unit } from '../../event/transact.ts';
import { body, json, problems } from '../../http/kit.ts';
import {
  actOnDevice,
  type DeviceAction,
  holdDevice,
  queueCommand,
  refreshDevice,
  releaseDevice,
  rollBackDevice,
  startDevice,
  stopDevice,
} from '../../inventory/commands.ts';
import { rotateKey } from '../../inventory/register.ts';
import { sourcePath } from '../../revision/store.ts';
import { deploy } from '../../rollout/converge.ts';
import { Digest } from '../../wire/bundle.ts';
import { callerOf, createApi, type Env, role } from '../env.ts';
import type { Services } from '../services.ts';
import { DeviceParams } from './devices.ts';
import { SeedCommand, viewSeedCommand } from './legacy-command.ts';
import { CommandView, DeviceView, NewCommand, viewCommand, viewDevice } from './schemas.ts';

const tags = ['Devices'];
const Hold = z.strictObject({
  reason: z.string().trim().min(1).max(500).default('held by an operator'),
  untilNewerRevision: z.boolean().default(false),
});
const Rollback = z.strictObject({
  to: z.union([z.strictObject({ bundle: Digest }), z.strictObject({ backup: z.uuid() })]).optional(),
  reason: z.string().trim().min(1).max(500).default('rolled back by an operator'),
  untilNewerRevision: z.boolean().default(false),
});
/** Start, stop, refresh, hold, release, roll back, retry, command, rotate the key. */
export function deviceActionRoutes(services: Services) {
  const { store } = services;

  const onDevice = async (c: Context<Env>, id: string, action: string, detail: Record<string, unknown>, work: DeviceAction) =>
    viewDevice(await actOnDevice(callerOf(c), store, id, { action, detail }, work));
  const describe = (
    path: '/devices/{id}/start' | '/devices/{id}/stop' | '/devices/{id}/refresh' | '/devices/{id}/retry',
    description: string,
  ) =>
    createRoute({
      method: 'post',
      path,
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams },
      responses: { 200: json(DeviceView, description), ...problems },
    });

  return createApi()
    .openapi(describe('/devices/{id}/start', 'It follows its source'), async (c) => {
      const { id } = c.req.valid('param');
      return c.json(await onDevice(c, id, 'device.start', {}, startDevice), 200);
    })
    .openapi(describe('/devices/{id}/stop', 'It no longer follows its source, and keeps what it runs'), async (c) => {
      const { id } = c.req.valid('param');
      return c.json(await onDevice(c, id, 'device.stop', {}, stopDevice), 200);
    })
    .openapi(describe('/devices/{id}/refresh', 'Its source is looked at now'), async (c) => {
      const { id } = c.req.valid('param');
      return c.json(await onDevice(c, id, 'device.refresh', {}, refreshDevice), 200);
    })
    .openapi(describe('/devices/{id}/retry', 'The bundle that failed is tried again, even if the device has quarantined it'), async (c) => {
      const { id } = c.req.valid('param');
      const view = await onDevice(c, id, 'device.retry', {}, async (unit, device) => {
        const folder =
          device.sourceId === null || device.path === null
            ? undefined
            : await sourcePath(unit.tx, device.organizationId, device.sourceId, device.path);
        if (folder?.bundle == null) throw conflict('nothing_to_retry', `Cannot retry on device "${id}": its folder has no valid bundle`);
        await deploy(unit, device.organizationId, [{ deviceId: id, bundle: folder.bundle, revisionId: folder.revisionId }], {
          kind: 'retry',
          force: true,
        });
      });
      return c.json(view, 200);
    })
    .openapi(
      createRoute({
        method: 'post',
        path: '/devices/{id}/hold',
        tags,
        middleware: [role('operator')] as const,
        request: { params: DeviceParams, body: body(Hold) },
        responses: { 200: json(DeviceView, 'Automation leaves it where it is'), ...problems },
      }),
      async (c) => {
        const hold = c.req.valid('json');
        const { id } = c.req.valid('param');
        const by = c.get('actor').name;
        const view = await onDevice(c, id, 'device.hold', hold, (unit, device) => holdDevice(unit, device, { ...hold, by }));
        return c.json(view, 200);
      },
    )
    .openapi(
      createRoute({
        method: 'delete',
        path: '/devices/{id}/hold',
        tags,
        middleware: [role('operator')] as const,
        request: { params: DeviceParams },
        responses: { 200: json(DeviceView, 'Automation may move it again'), ...problems },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        return c.json(await onDevice(c, id, 'device.release', {}, releaseDevice), 200);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/devices/{id}/rollback',
        tags,
        middleware: [role('operator')] as const,
        request: { params: DeviceParams, body: body(Rollback) },
        responses: { 200: json(DeviceView, 'It is brought to the bundle and held there'), ...problems },
      }),
      async (c) => {
        const wanted = c.req.valid('json');
        const { to, reason, untilNewerRevision } = wanted;
        const { id } = c.req.valid('param');
        const by = c.get('actor').name;
        const view = await onDevice(c, id, 'device.rollback', wanted, async (unit, device) => {
          const target = await rollbackTarget(unit, device, to);
          await rollBackDevice(unit, device, target, { by, reason, untilNewerRevision });
        });
        return c.json(view, 200);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/devices/{id}/commands',
        tags,
        middleware: [role('operator')] as const,
        request: { params: DeviceParams, body: body(NewCommand) },
        responses: { 201: json(z.union([CommandView, SeedCommand]), 'Queued; told in the words of the request'), ...problems },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const { type, command_type, payload, ttlSeconds } = c.req.valid('json');
        const actor = c.get('actor');
        const wanted = { type: type ?? command_type ?? '', payload: payload ?? {}, ttlSeconds, createdBy: actor.name };
        const command = await audited(
          callerOf(c),
          store,
          { action: 'device.command', subject: `device:${id}`, detail: { type: wanted.type } },
          async (unit) => {
            const device = await lockDevice(unit.tx, actor.organizationId, id);
            if (device === undefined) throw notFound('device', id);
            return queueCommand(unit, device, wanted);
          },
        );
        return type === undefined ? c.json(viewSeedCommand(shownCommand(command)), 201) : c.json(viewCommand(command), 201);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/devices/{id}/keys',
        tags,
        middleware: [role('operator')] as const,
        request: { params: DeviceParams },
        responses: {
          201: json(z.object({ apiKey: z.string() }), 'A new key, shown this once; older ones work for another day'),
          ...problems,
        },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const { organizationId } = c.get('actor');
        const apiKey = await audited(callerOf(c), store, { action: 'device.rotate_key', subject: `device:${id}` }, async (unit) => {
          if ((await lockDevice(unit.tx, organizationId, id)) === undefined) throw notFound('device', id);
          return rotateKey(unit, organizationId, id);
        });
        return c.json({ apiKey }, 201);
      },
    );
}

/** @throws Problem when the device has nothing to go back to */
async function rollbackTarget(
  unit: Unit,
  device: Device,
  to: z.output<typeof Rollback>['to'],
): Promise<{ bundle: string; revisionId: string | null }> {
  if (to !== undefined && 'bundle' in to) {
    if ((await bundleManifest(unit.tx, device.organizationId, to.bundle)) === undefined)
      throw invalid(`Cannot roll device "${device.id}" back: there is no bundle ${to.bundle}`, [
        { pointer: '/to/bundle', detail: 'no such bundle' },
      ]);
    return { bundle: to.bundle, revisionId: null };
  }
  if (to !== undefined) {
    const backup = await backupOf(unit.tx, device.organizationId, device.id, to.backup);
    if (backup?.bundle == null)
      throw invalid(`Cannot roll device "${device.id}" back: it has no backup ${to.backup} of a bundle`, [
        { pointer: '/to/backup', detail: 'no such backup' },
      ]);
    return { bundle: backup.bundle, revisionId: backup.revisionId };
  }
  const running = device.reportedBundle ?? device.goodBundle;
  const previous = (await listBackups(unit.tx, device.organizationId, device.id)).find(
    (backup) => backup.bundle !== null && backup.bundle !== running,
  );
  if (previous?.bundle == null)
    throw conflict('nothing_to_roll_back_to', `Cannot roll device "${device.id}" back: it has no backup of another bundle than it runs`);
  return { bundle: previous.bundle, revisionId: previous.revisionId };
}
