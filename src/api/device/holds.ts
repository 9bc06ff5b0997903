import { createRoute, z } from '@hono/zod-openapi';
import { backupOf, listBackups } from '../../backup/store.ts';
import { bundleManifest } from '../../bundle/store.ts';
import type { Device } from '../../device/device.ts';
import { conflict, invalid } from '../../errors.ts';
import type { Store, Unit } from '../../event/transact.ts';
import { body, json, problems } from '../../http/kit.ts';
import { actOnDevice, holdDevice, releaseDevice, rollBackDevice } from '../../inventory/commands.ts';
import { Digest } from '../../wire/bundle.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { DeviceParams } from './find.ts';
import { DeviceView, viewDevice } from './schemas.ts';

type Deps = { store: Store };

/** Holds of one device. A rollback of a device implies a hold. */
export const deviceHoldRoutes = (deps: Deps) => mount(hold(deps), release(deps), rollBack(deps));

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

const hold = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/devices/{id}/hold',
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams, body: body(Hold) },
      responses: { 200: json(DeviceView, 'The device keeps its present bundle'), ...problems },
    }),
    async (c) => {
      const wanted = c.req.valid('json');
      const { id } = c.req.valid('param');
      const by = c.get('actor').name;
      const entry = { action: 'device.hold', detail: wanted };
      const held = await actOnDevice(callerOf(c), store, id, entry, (unit, device) => holdDevice(unit, device, { ...wanted, by }));
      return c.json(viewDevice(held), 200);
    },
  );

const release = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/devices/{id}/hold',
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams },
      responses: { 200: json(DeviceView, 'The device follows rollouts again'), ...problems },
    }),
    async (c) => {
      const released = await actOnDevice(callerOf(c), store, c.req.valid('param').id, { action: 'device.release' }, releaseDevice);
      return c.json(viewDevice(released), 200);
    },
  );

const rollBack = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/devices/{id}/rollback',
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams, body: body(Rollback) },
      responses: { 200: json(DeviceView, 'The device rolls back to the bundle and is held there'), ...problems },
    }),
    async (c) => {
      const wanted = c.req.valid('json');
      const { id } = c.req.valid('param');
      const { to, reason, untilNewerRevision } = wanted;
      const by = c.get('actor').name;
      const entry = { action: 'device.rollback', detail: wanted };
      const moved = await actOnDevice(callerOf(c), store, id, entry, async (unit, device) => {
        const target = await rollbackTarget(unit, device, to);
        await rollBackDevice(unit, device, target, { by, reason, untilNewerRevision });
      });
      return c.json(viewDevice(moved), 200);
    },
  );

type Target = { bundle: string; revisionId: string | null };

/** The bundle of a rollback: a named one, that of a backup, or the newest backup of another bundle. @throws Problem when there is none */
function rollbackTarget(unit: Unit, device: Device, to: z.output<typeof Rollback>['to']): Promise<Target> {
  if (to === undefined) return previousBundle(unit, device);
  return 'bundle' in to ? namedBundle(unit, device, to.bundle) : bundleOfBackup(unit, device, to.backup);
}

async function namedBundle({ tx }: Unit, { organizationId, id }: Device, bundle: string): Promise<Target> {
  if ((await bundleManifest(tx, organizationId, bundle)) !== undefined) return { bundle, revisionId: null };
  throw invalid(`Cannot roll device "${id}" back: there is no bundle ${bundle}`, [{ pointer: '/to/bundle', detail: 'no such bundle' }]);
}

async function bundleOfBackup({ tx }: Unit, { organizationId, id }: Device, backupId: string): Promise<Target> {
  const backup = await backupOf(tx, organizationId, id, backupId);
  if (backup?.bundle != null) return { bundle: backup.bundle, revisionId: backup.revisionId };
  throw invalid(`Cannot roll device "${id}" back: it has no backup ${backupId} of a bundle`, [
    { pointer: '/to/backup', detail: 'no such backup' },
  ]);
}

async function previousBundle({ tx }: Unit, device: Device): Promise<Target> {
  const running = device.reportedBundle ?? device.goodBundle;
  const backups = await listBackups(tx, device.organizationId, device.id);
  const previous = backups.find((backup) => backup.bundle !== null && backup.bundle !== running);
  if (previous?.bundle != null) return { bundle: previous.bundle, revisionId: previous.revisionId };
  throw conflict('nothing_to_roll_back_to', `Cannot roll device "${device.id}" back: it has no backup of another bundle than it runs`);
}
