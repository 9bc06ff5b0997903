import { expect, test } from 'vitest';
import type { Provider } from '../../src/integration/provider.ts';
import { createProviders } from '../../src/integration/registry.ts';
import { depot, serveDepot } from '../support/depot.ts';
import { openService } from '../support/service.ts';
import { createDepot, settle, syncOnce } from './support.ts';

/** The platform without a call that shows one device. */
const blind: Provider = {
  ...depot,
  open: (account) => {
    const { read: _, ...platform } = depot.open(account);
    return platform;
  },
};

test('a platform that shows no single device keeps its side of a conflict until a person decides, while other fields are written', async () => {
  await using opened = new AsyncDisposableStack();
  const shop = opened.adopt(await serveDepot({ devices: 1 }), (one) => one.close());
  const service = opened.use(await openService({}, { providers: createProviders([blind]) }));
  const id = await createDepot(service, shop, { direction: 'both', strategy: 'manual' });
  await syncOnce(service, id);
  const here = (attributes: Record<string, unknown>, more = {}) => service.api('PATCH', '/devices/till-1', { attributes, ...more });
  await here({ room: 'cellar' }, { name: 'Here' });
  shop.change('x00001', { room: 'roof', name: 'There' });
  expect((await syncOnce(service, id)).details).toMatchObject({ conflicts: 2 });
  await here({ tags: ['new'] });
  await syncOnce(service, id);
  await service.database.sql`update device_service_assignments set retry_at = now()`;
  await syncOnce(service, id);
  expect(shop.all.get('x00001')).toMatchObject({ room: 'roof', name: 'There', tags: ['new'] });
  const open = (await service.api('GET', '/conflicts?state=open')).body.items as { id: string; field: string; remote: string }[];
  expect(open.map(({ field, remote }) => [field, remote]).sort()).toEqual([
    ['name', 'There'],
    ['room', 'roof'],
  ]);
  for (const { id: conflict, field } of open)
    await service.api('POST', `/conflicts/${conflict}/resolve`, { choice: field === 'room' ? 'local' : 'remote' });
  await settle(service, id);
  expect(shop.all.get('x00001')).toMatchObject({ room: 'cellar', name: 'There' });
  expect((await service.api('GET', '/devices/till-1')).body).toMatchObject({
    name: 'There',
    integrationMetadata: { attributes: { room: 'cellar', tags: ['new'] } },
  });
});
