import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, json, problems } from '../../http/kit.ts';
import { registerDevice } from '../../inventory/register.ts';
import { siteOf } from '../../organization/store.ts';
import { findDevice } from '../device/find.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { IP_LABEL, LegacyNewDevice, LegacyRegisteredDevice, viewLegacyDevice } from './schemas.ts';

type Deps = { store: Store };

/** Registration of a device at a site, as in the earlier protocol. */
export const legacyRegistrationRoutes = (deps: Deps) => mount(register(deps));

const register = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/devices/sites/{site_id}/devices',
      tags: ['Devices in the field'],
      middleware: [role('operator')] as const,
      request: {
        params: z.object({ site_id: z.string().min(1).max(200).openapi({ description: 'Id or name of the site' }) }),
        body: body(LegacyNewDevice),
      },
      responses: { 201: json(LegacyRegisteredDevice, 'Registered, with its key'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { site_id } = c.req.valid('param');
      const { device_id: id, name = id, device_type: type, ip_address: ip } = c.req.valid('json');
      const entry = { action: 'device.register', subject: `device:${id}`, detail: { type, site: site_id } };
      const registered = await audited(callerOf(c), store, entry, async (unit) => {
        const site = await siteOf(unit.tx, organizationId, site_id);
        if (site === undefined) throw notFound('site', site_id);
        const labels: Record<string, string> = ip ? { [IP_LABEL]: ip } : {};
        const unbound = { adapter: 'agent', simulated: false, sourceId: null, following: false };
        const apiKey = await registerDevice(unit, { organizationId, id, name, type, labels, siteId: site.id, ...unbound });
        return viewLegacyDevice(await findDevice(unit.tx, organizationId, id), site.id, apiKey);
      });
      return c.json(registered, 201);
    },
  );
