import { z } from '@hono/zod-openapi';
import type { Db } from '../../db/connect.ts';
import { type Device, DeviceId } from '../../device/device.ts';
import { deviceById, lockDevice } from '../../device/store.ts';
import { notFound } from '../../errors.ts';

export const DeviceParams = z.object({ id: DeviceId });

/** @throws Problem `not_found` */
export async function findDevice(sql: Db, organizationId: string, id: string): Promise<Device> {
  const device = await deviceById(sql, organizationId, id);
  if (device === undefined) throw notFound('device', id);
  return device;
}

/** Locks the row until the transaction ends. @throws Problem `not_found` */
export async function lockFoundDevice(tx: Db, organizationId: string, id: string): Promise<Device> {
  const device = await lockDevice(tx, organizationId, id);
  if (device === undefined) throw notFound('device', id);
  return device;
}
