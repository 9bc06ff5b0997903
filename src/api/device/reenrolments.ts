import { createRoute, z } from '@hono/zod-openapi';
import { emitStanding } from '../../device/events.ts';
import { allowReenrolment, forgetReenrolment } from '../../device/reenrolment-store.ts';
import { conflict } from '../../errors.ts';
import { body, json, problems } from '../../http/kit.ts';
import { actOnDevice } from '../../inventory/commands.ts';
import { callerOf, createApi, role } from '../env.ts';
import type { Services } from '../services.ts';
import { DeviceParams } from './devices.ts';
import { DeviceView, viewDevice } from './schemas.ts';

const tags = ['Devices'];
const Allowance = z
  .strictObject({
    seconds: z.number().int().min(60).max(604_800).default(3_600).openapi({ description: 'How long the device may take to come' }),
  })
  .openapi('ReenrolmentAllowance');

/** Lets a device in again that enrols under its registered id, or turns it away. */
export function reenrolmentRoutes({ store }: Services) {
  return createApi()
    .openapi(
      createRoute({
        method: 'post',
        path: '/devices/{id}/reenrolment',
        tags,
        middleware: [role('operator')] as const,
        request: { params: DeviceParams, body: body(Allowance) },
        responses: {
          200: json(DeviceView, 'The machine that asked last may enrol as this device with a valid token; its old keys end then'),
          ...problems,
        },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const { seconds } = c.req.valid('json');
        const by = c.get('actor').name;
        const device = await actOnDevice(
          callerOf(c),
          store,
          id,
          { action: 'device.allow_reenrolment', detail: { seconds } },
          async (unit, present) => {
            await allowReenrolment(unit.tx, present.organizationId, id, { seconds, by });
            emitStanding(unit, 'device.reenrolment_allowed', present);
          },
        );
        return c.json(viewDevice(device), 200);
      },
    )
    .openapi(
      createRoute({
        method: 'delete',
        path: '/devices/{id}/reenrolment',
        tags,
        middleware: [role('operator')] as const,
        request: { params: DeviceParams },
        responses: {
          200: json(DeviceView, 'The request and the permission are gone; a machine that goes on asking makes a new request'),
          ...problems,
        },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        const device = await actOnDevice(callerOf(c), store, id, { action: 'device.refuse_reenrolment' }, async (unit, present) => {
          if (!(await forgetReenrolment(unit.tx, present.organizationId, id)))
            throw conflict('no_reenrolment', `Cannot refuse the re-enrolment of device "${id}": nobody has asked for it or allowed it`);
          emitStanding(unit, 'device.reenrolment_refused', present);
        });
        return c.json(viewDevice(device), 200);
      },
    );
}
