import { createRoute, z } from '@hono/zod-openapi';
import { notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { json, problems } from '../../http/kit.ts';
import type { Integration } from '../../integration/integration.ts';
import type { PlatformDeps } from '../../integration/open.ts';
import { switchedOff } from '../../integration/problems.ts';
import { blockAfter } from '../../integration/runs/note.ts';
import { accountsOfDevice } from '../../integration/store/accounts.ts';
import { integrationOf } from '../../integration/store/services.ts';
import { createViews, type Views } from '../../integration/views.ts';
import { DeviceParams, findDevice } from '../device/find.ts';
import { mount, operation, role } from '../env.ts';

type Reader = { store: Store; platforms: PlatformDeps };

/** The vendor's side of a device: what its platform can show and do, and read-only views of it. */
export function vendorRoutes(deps: Reader) {
  const views = createViews(deps.platforms, (integration, error) => blockAfter(deps.store, integration, error));
  return mount(describe(deps), show({ ...deps, views }));
}

const tags = ['Integrations'];
const Which = z.object({
  integration: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .openapi({ description: 'Id of one of its integrations; without it, the primary one of them' }),
});
const Abilities = z.object({
  list: z.boolean(),
  create: z.boolean(),
  update: z.boolean(),
  delete: z.boolean(),
  push: z.union([z.literal(false), z.enum(['verified', 'unverified'])]),
  nativeConfirm: z.boolean(),
  dryRun: z.boolean(),
  execute: z.boolean(),
  hook: z.boolean(),
});
const VendorAccount = z.object({
  deviceId: z.string(),
  integration: z.object({ id: z.string(), slug: z.string(), name: z.string(), type: z.string(), title: z.string() }),
  externalId: z.string(),
});
const VendorDescription = VendorAccount.extend({
  abilities: Abilities,
  views: z.array(z.object({ name: z.string(), title: z.string(), cacheSeconds: z.number().int() })),
}).openapi('VendorDescription');
const VendorView = VendorAccount.extend({
  view: z.string(),
  title: z.string(),
  at: z.iso.datetime().openapi({ description: 'When the platform answered' }),
  ageSeconds: z.number().int(),
  problem: z
    .object({ code: z.string(), detail: z.string() })
    .nullable()
    .openapi({ description: 'Why the data are the last known ones; null: the platform answers' }),
  data: z.unknown().openapi({ description: 'As the platform shows it; secrets are replaced by "[redacted]"' }),
}).openapi('VendorView');

const describe = (deps: Reader) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}/vendor',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: DeviceParams, query: Which },
      responses: { 200: json(VendorDescription, 'The platform that manages the device, with its views and abilities'), ...problems },
    }),
    async (c) => {
      const account = await findAccount(deps, c.get('actor').organizationId, c.req.valid('param').id, c.req.valid('query').integration);
      const { abilities, views } = deps.platforms.providers.of(account.integration.type);
      const list = Object.entries(views).map(([name, traits]) => ({ name, ...traits }));
      return c.json({ ...viewAccount(deps, account), abilities, views: list }, 200);
    },
  );

const show = (deps: Reader & { views: Views }) =>
  operation(
    createRoute({
      method: 'get',
      path: '/devices/{id}/vendor/{view}',
      tags,
      middleware: [role('viewer')] as const,
      request: {
        params: DeviceParams.extend({ view: z.string().min(1).max(100) }),
        // Further parameters are the view's own, such as `page`.
        query: Which.catchall(z.string().max(200)),
      },
      responses: { 200: json(VendorView, 'The view; the last known one with its age while the platform does not answer'), ...problems },
    }),
    async (c) => {
      const { id, view } = c.req.valid('param');
      const { integration: which, ...query } = c.req.valid('query');
      const { organizationId } = c.get('actor');
      const account = await findAccount(deps, organizationId, id, which);
      const { integration, externalId } = account;
      const target = { organizationId, deviceId: id, externalId };
      const { data, at, problem } = await deps.views.show({ integration, target, view, query: texts(query) });
      const title = deps.platforms.providers.of(integration.type).views[view]?.title ?? view;
      const ageSeconds = Math.max(0, Math.round((Date.now() - at.getTime()) / 1000));
      return c.json({ ...viewAccount(deps, account), view, title, at: at.toISOString(), ageSeconds, problem, data }, 200);
    },
  );

function texts(query: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

type Account = { deviceId: string; integration: Integration; externalId: string };

/** @throws Problem `integration_disabled` while the service runs without integrations; `not_found`, also for a device that no platform manages */
async function findAccount(
  { store: { sql }, platforms }: Reader,
  organizationId: string,
  deviceId: string,
  which: string | undefined,
): Promise<Account> {
  if (platforms.isOff) throw switchedOff();
  await findDevice(sql, organizationId, deviceId);
  const wanted = which === undefined ? undefined : await integrationOf(sql, organizationId, which);
  const accounts = await accountsOfDevice(sql, organizationId, deviceId);
  const account = which === undefined ? accounts[0] : accounts.find(({ serviceId }) => serviceId === wanted?.id);
  const integration = account === undefined ? undefined : await integrationOf(sql, organizationId, account.serviceId);
  if (account === undefined || integration === undefined)
    throw notFound(which === undefined ? 'integration of device' : `integration "${which}" of device`, deviceId);
  return { deviceId, integration, externalId: account.externalId };
}

function viewAccount({ platforms }: Reader, { deviceId, integration, externalId }: Account): z.output<typeof VendorAccount> {
  const { id, slug, name, type } = integration;
  return { deviceId, externalId, integration: { id, slug, name, type, title: platforms.providers.of(type).title } };
}
