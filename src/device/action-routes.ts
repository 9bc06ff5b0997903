import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { backupOf, listBackups } from '../backup/store.ts';
import { bundleManifest } from '../bundle/store.ts';
import { COMMAND_TTL_SECONDS, COMMAND_TYPES, isCommandType } from '../command/command.ts';
import { insertCommand } from '../command/store.ts';
import type { Unit } from '../db/transact.ts';
import { convergeDevice, deploy } from '../deployment/converge.ts';
import { standDown } from '../deployment/store.ts';
import { conflict, invalid, notFound } from '../errors.ts';
import type { EventType } from '../event/event.ts';
import { act } from '../http/acting.ts';
import { body, createApi, type Env, json, problems, role } from '../http/api.ts';
import type { Services } from '../http/services.ts';
import { newId } from '../ids.ts';
import { sourcePath } from '../revision/store.ts';
import { Digest } from '../wire/bundle.ts';
import { type Device, seedStatus } from './device.ts';
import { rotateKey } from './register.ts';
import { DeviceParams } from './routes.ts';
import { CommandView, DeviceView, viewCommand, viewDevice } from './schemas.ts';
import { deviceById, lockDevice, setHold, setSyncStatus, updateDevice } from './store.ts';

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
const NewCommand = z
  .strictObject({
    type: z.string().max(64),
    payload: z.record(z.string(), z.unknown()).default({}),
    ttlSeconds: z.number().int().min(10).max(86_400).default(COMMAND_TTL_SECONDS),
  })
  .openapi('NewCommand');

/** Start, stop, refresh, hold, release, roll back, retry, command, rotate the key. */
export function deviceActionRoutes(services: Services) {
  const { store } = services;

  /** One act on one locked device; answers the device as it is afterwards. */
  const onDevice = async (
    c: Context<Env>,
    id: string,
    action: string,
    detail: Record<string, unknown>,
    work: (unit: Unit, device: Device) => Promise<void>,
  ) => {
    const { organizationId } = c.get('actor');
    const after = await act(c, store, { action, subject: `device:${id}`, detail }, async (unit) => {
      const device = await lockDevice(unit.tx, organizationId, id);
      if (device === undefined) throw notFound('device', id);
      await work(unit, device);
      return deviceById(unit.tx, organizationId, id);
    });
    if (after === undefined) throw notFound('device', id);
    return viewDevice(after);
  };
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
      const view = await onDevice(c, id, 'device.start', {}, async (unit, device) => {
        if (device.sourceId === null) throw conflict('not_bound', `Cannot start device "${id}": it is bound to no source`);
        await updateDevice(unit.tx, device, { following: true });
        tell(unit, device, 'device.started');
        await convergeDevice(unit, device);
        unit.enqueue('source', device.sourceId);
        unit.enqueue('workspace', device.organizationId);
      });
      return c.json(view, 200);
    })
    .openapi(describe('/devices/{id}/stop', 'It no longer follows its source, and keeps what it runs'), async (c) => {
      const { id } = c.req.valid('param');
      const view = await onDevice(c, id, 'device.stop', {}, async (unit, device) => {
        await updateDevice(unit.tx, device, { following: false });
        await callOff(unit, device);
        tell(unit, device, 'device.stopped');
      });
      return c.json(view, 200);
    })
    .openapi(describe('/devices/{id}/refresh', 'Its source is looked at now'), async (c) => {
      const { id } = c.req.valid('param');
      const view = await onDevice(c, id, 'device.refresh', {}, async (unit, device) => {
        if (device.sourceId === null) throw conflict('not_bound', `Cannot refresh device "${id}": it is bound to no source`);
        unit.enqueue('source', device.sourceId);
        await convergeDevice(unit, device);
      });
      return c.json(view, 200);
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
        const view = await onDevice(c, id, 'device.hold', hold, async (unit, device) => {
          await callOff(unit, device);
          await setHold(unit.tx, device, { ...hold, by, revisionId: device.goodRevisionId });
          await setSyncStatus(unit.tx, device.organizationId, [id], 'held');
          tell(unit, { ...device, syncStatus: 'held' }, 'device.held');
        });
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
        const view = await onDevice(c, id, 'device.release', {}, async (unit, device) => {
          await setHold(unit.tx, device, null);
          if (device.syncStatus === 'held')
            await setSyncStatus(unit.tx, device.organizationId, [id], device.goodBundle === null ? 'unmanaged' : 'in_sync');
          tell(unit, { ...device, syncStatus: 'in_sync' }, 'device.released');
          await convergeDevice(unit, device);
        });
        return c.json(view, 200);
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
        const { id } = c.req.valid('param');
        const by = c.get('actor').name;
        const view = await onDevice(c, id, 'device.rollback', wanted, async (unit, device) => {
          const target = await rollbackTarget(unit, device, wanted.to);
          await setHold(unit.tx, device, {
            by,
            reason: wanted.reason,
            untilNewerRevision: wanted.untilNewerRevision,
            revisionId: device.desiredRevisionId,
          });
          await deploy(unit, device.organizationId, [{ deviceId: id, ...target }], { kind: 'rollback', force: true });
          tell(unit, { ...device, syncStatus: 'held' }, 'device.held');
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
        responses: { 201: json(CommandView, 'Queued'), ...problems },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const wanted = c.req.valid('json');
        const actor = c.get('actor');
        const command = await act(
          c,
          store,
          { action: 'device.command', subject: `device:${id}`, detail: { type: wanted.type } },
          async (unit) => {
            const device = await lockDevice(unit.tx, actor.organizationId, id);
            if (device === undefined) throw notFound('device', id);
            return queueCommand(unit, device, { ...wanted, createdBy: actor.name });
          },
        );
        return c.json(viewCommand(command), 201);
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
        const apiKey = await act(c, store, { action: 'device.rotate_key', subject: `device:${id}` }, async (unit) => {
          if ((await lockDevice(unit.tx, organizationId, id)) === undefined) throw notFound('device', id);
          return rotateKey(unit, organizationId, id);
        });
        return c.json({ apiKey }, 201);
      },
    );
}

function tell(unit: Unit, device: Device, type: EventType): void {
  const { organizationId, id, syncStatus, connectivity } = device;
  unit.emit({ organizationId, type, subject: `device:${id}`, data: { status: seedStatus(device), syncStatus, connectivity } });
}

async function callOff(unit: Unit, device: Device): Promise<void> {
  await standDown(unit.tx, device.organizationId, device.id);
  unit.wakeDevices(device.organizationId, [device.id]);
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

/** Queues a command of a known type and wakes the device. @throws Problem `invalid_request` */
export async function queueCommand(
  unit: Unit,
  device: Device,
  wanted: { type: string; payload: Record<string, unknown>; ttlSeconds: number; createdBy: string },
) {
  if (!isCommandType(wanted.type)) {
    throw invalid(`Cannot queue "${wanted.type}": must be one of ${Object.keys(COMMAND_TYPES).join(', ')}`, [
      { pointer: '/type', detail: 'unknown command type' },
    ]);
  }
  const parsed = COMMAND_TYPES[wanted.type].safeParse(wanted.payload);
  if (!parsed.success) {
    throw invalid(
      `Cannot queue "${wanted.type}": its payload is not valid`,
      parsed.error.issues.map((issue) => ({ pointer: `/payload/${issue.path.join('/')}`, detail: issue.message })),
    );
  }
  const { organizationId, id: deviceId } = device;
  const command = await insertCommand(unit.tx, { organizationId, id: newId(), deviceId, ...wanted });
  unit.wakeDevices(organizationId, [deviceId]);
  unit.emit({ organizationId, type: 'command.queued', subject: `device:${deviceId}`, data: { commandId: command.id, type: command.type } });
  return command;
}
