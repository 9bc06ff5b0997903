import { createRoute, z } from '@hono/zod-openapi';
import { emitStanding } from '../../device/events.ts';
import { allowReenrolment, forgetReenrolment } from '../../device/reenrolment-store.ts';
import { conflict } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, json, problems } from '../../http/kit.ts';
import { actOnDevice } from '../../inventory/commands.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { DeviceParams } from './find.ts';
import { DeviceView, viewDevice } from './schemas.ts';

type Deps = { store: Store };

/** Permits or refuses a machine that enrols under the id of a registered device. */
export const reenrolmentRoutes = (deps: Deps) => mount(allow(deps), refuse(deps));

const tags = ['Devices'];
const Allowance = z
  .strictObject({
    seconds: z.number().int().min(60).max(604_800).default(3_600).openapi({ description: 'How long the permission holds' }),
  })
  .openapi('ReenrolmentAllowance');

const allow = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/devices/{id}/reenrolment',
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams, body: body(Allowance) },
      responses: {
        200: json(DeviceView, 'The machine of the last request may enrol as this device with a valid token; the old keys end then'),
        ...problems,
      },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { seconds } = c.req.valid('json');
      const by = c.get('actor').name;
      const entry = { action: 'device.allow_reenrolment', detail: { seconds } };
      const device = await actOnDevice(callerOf(c), store, id, entry, async (unit, present) => {
        await allowReenrolment(unit.tx, present.organizationId, id, { seconds, by });
        emitStanding(unit, 'device.reenrolment_allowed', present);
      });
      return c.json(viewDevice(device), 200);
    },
  );

const refuse = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/devices/{id}/reenrolment',
      tags,
      middleware: [role('operator')] as const,
      request: { params: DeviceParams },
      responses: {
        200: json(DeviceView, 'The request and the permission are deleted; a machine that asks again makes a new request'),
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
