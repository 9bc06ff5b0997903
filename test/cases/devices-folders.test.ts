import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { followFolders, usualFolder } from '../../src/device/folders.ts';
import { converge } from '../support/actors.ts';
import { openFleet } from '../support/fleet.ts';
import { eventually } from '../support/service.ts';

const folderOf = (path: string, isNew = true, isTaken = false) => ({ path, isNew, isTaken });

describe('devices follow folders by name', () => {
  test.each<
    [what: string, stranded: [id: string, path: string][], candidates: ReturnType<typeof folderOf>[], moves: Record<string, string>]
  >([
    ['one folder of all', [['till-1', 'devices/till-1']], [folderOf('tills/till-1')], { 'till-1': 'tills/till-1' }],
    [
      'a folder that was there before, of its own name',
      [['till-1', 'devices/till-1']],
      [folderOf('tills/till-1', false)],
      { 'till-1': 'tills/till-1' },
    ],
    ['not into another name', [['till-1', 'devices/till-1']], [folderOf('tills/till-2')], {}],
    ['not where two are as near', [['till-1', 'devices/till-1']], [folderOf('a/till-1'), folderOf('b/till-1')], {}],
    [
      'the nearer one at several levels',
      [
        ['north', 'sites/north/till'],
        ['south', 'sites/south/till'],
      ],
      [folderOf('places/north/till'), folderOf('places/south/till')],
      { north: 'places/north/till', south: 'places/south/till' },
    ],
    [
      'below their site',
      [
        ['a', 'sites/north/devices/till'],
        ['b', 'sites/south/devices/till'],
      ],
      [folderOf('sites/north/tills/till'), folderOf('sites/south/tills/till')],
      { a: 'sites/north/tills/till', b: 'sites/south/tills/till' },
    ],
    ["not to another device's folder of the same name", [['north', 'sites/north/till']], [folderOf('sites/south/till', false, true)], {}],
    ['not to an old folder that somebody else chose the name of', [['north', 'sites/north/till']], [folderOf('archive/till', false)], {}],
    [
      'two folders never become one',
      [
        ['north', 'sites/north/till'],
        ['south', 'sites/south/till'],
      ],
      [folderOf('tills/till')],
      {},
    ],
    [
      'devices that share a folder go together',
      [
        ['a', 'kinds/kiosk'],
        ['b', 'kinds/kiosk'],
      ],
      [folderOf('types/kiosk')],
      { a: 'types/kiosk', b: 'types/kiosk' },
    ],
  ])('%s', (_what, stranded, candidates, moves) => {
    const found = followFolders(
      stranded.map(([id, path]) => ({ id, path })),
      candidates,
    );
    expect(Object.fromEntries(found.map(({ id, to }) => [id, to]))).toEqual(moves);
  });

  test('a new device gets the folder of its name, else the place that fleet.yaml leaves for it', () => {
    expect(usualFolder('t', ['x/t'], ['tills/*'])).toBe('x/t');
    expect(usualFolder('t', ['x/t', 'y/t'], ['tills/*'])).toBe('tills/t');
    expect(usualFolder('till-1', [], ['kiosks/kiosk-*', 'tills/till-*'])).toBe('tills/till-1');
    expect(usualFolder('t', [], ['sites/*/devices/*'])).toBe('devices/t');
    expect(usualFolder('t', [], [])).toBe('devices/t');
  });
});

const FILES = 'apiVersion: bellwether/v1\nkind: DeviceConfig\nfiles:\n  - from: app.json\n';
const fleetYaml = (devices: string) => `apiVersion: bellwether/v1\nkind: Fleet\ndevices: ${JSON.stringify(devices)}\n`;
const folder = (path: string, config: unknown) => ({ [`${path}/bellwether.yaml`]: FILES, [`${path}/app.json`]: JSON.stringify(config) });
const gone = (path: string) => ({ [`${path}/bellwether.yaml`]: null, [`${path}/app.json`]: null });

describe('in the service', () => {
  let fleet: Awaited<ReturnType<typeof openFleet>>;
  beforeAll(async () => {
    fleet = await openFleet();
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  const get = async (id: string) => (await fleet.api('GET', `/devices/${id}`)).body;
  const why = async (id: string): Promise<{ code: string; detail: string; unblockedBy: string }[]> =>
    (await fleet.api('GET', `/devices/${id}/why`)).body;
  const events = async (id: string, type: string) =>
    (await fleet.api('GET', `/devices/${id}/events?limit=100`)).body.items.filter((event: { type: string }) => event.type === type);

  async function register(id: string, sourceId: string, path?: string) {
    const { body } = await fleet.api('POST', '/devices', { id, sourceId, ...(path === undefined ? {} : { path }) });
    const key = { 'x-device-id': id, 'x-api-key': body.apiKey };
    const settle = () =>
      eventually(`${id} has converged`, async () => {
        await converge(fleet.service.url, key);
        const { desired, reported, syncStatus } = await get(id);
        return syncStatus === 'in_sync' && desired?.bundle === reported?.bundle;
      });
    return { path: body.path as string, settle };
  }

  test('git mv devices tills: all devices follow, run what the new folders hold, and new ones bind by the pattern', async () => {
    const source = await fleet.source('moved', { layout: 'fleet' });
    await fleet.push(source, {
      'fleet.yaml': fleetYaml('devices/*'),
      ...folder('devices/mv-1', { v: 1 }),
      ...folder('devices/mv-2', { v: 2 }),
    });
    const [one, two] = [await register('mv-1', source.id), await register('mv-2', source.id)];
    await Promise.all([one.settle(), two.settle()]);
    const before = (await get('mv-1')).desired.bundle;
    const move = {
      'fleet.yaml': fleetYaml('tills/*'),
      ...gone('devices/mv-1'),
      ...gone('devices/mv-2'),
      ...folder('tills/mv-1', { v: 1 }),
      ...folder('tills/mv-2', { v: 3 }),
    };
    await fleet.host.commit(source.name, move, { branch: 'move' });
    const plan = (await fleet.api('POST', `/sources/${source.id}/plan?ref=move`)).body;
    expect(plan.devices.map(({ id, path, change }: Record<string, string>) => [id, path, change])).toEqual([
      ['mv-1', 'tills/mv-1', 'unchanged'],
      ['mv-2', 'tills/mv-2', 'changed'],
    ]);
    const commit = await fleet.push(source, move);
    await Promise.all([one.settle(), two.settle()]);
    expect(await get('mv-1')).toMatchObject({ path: 'tills/mv-1', desired: { bundle: before } });
    expect((await get('mv-2')).path).toBe('tills/mv-2');
    expect([await why('mv-1'), await why('mv-2')]).toEqual([[], []]);
    expect(await events('mv-1', 'device.moved')).toMatchObject([{ data: { from: 'devices/mv-1', to: 'tills/mv-1', commit } }]);
    const audit: { action: string; commit?: string; detail: unknown }[] = (await fleet.api('GET', '/audit?subject=device:mv-1')).body.items;
    expect(audit.find(({ action }) => action === 'device.move')?.detail).toMatchObject({ from: 'devices/mv-1', to: 'tills/mv-1' });
    expect((await register('mv-3', source.id)).path).toBe('tills/mv-3');
    // A later change of the new folder reaches the device, and the way back of the whole source knows the old folder.
    await fleet.push(source, folder('tills/mv-1', { v: 9 }));
    await eventually('mv-1 is to run the new one', async () => (await get('mv-1')).desired.bundle !== before);
    await one.settle();
    const { items } = (await fleet.api('GET', `/sources/${source.id}/revisions`)).body;
    expect((await fleet.api('POST', `/sources/${source.id}/rollback`, { to: items.at(-1).id })).status).toBeLessThan(300);
    await eventually('mv-1 is to run the first one', async () => (await get('mv-1')).desired.bundle === before);
  });

  test('a move that is reverted brings devices back to their old folder and to what it holds', async () => {
    const source = await fleet.source('reverted', { layout: 'fleet' });
    await fleet.push(source, { 'fleet.yaml': fleetYaml('devices/*'), ...folder('devices/rv-1', { v: 1 }) });
    const device = await register('rv-1', source.id);
    await device.settle();
    const before = (await get('rv-1')).desired.bundle;
    await fleet.push(source, { 'fleet.yaml': fleetYaml('tills/*'), ...gone('devices/rv-1'), ...folder('tills/rv-1', { v: 2 }) });
    await eventually('it is to run the second', async () => (await get('rv-1')).desired.bundle !== before);
    await device.settle();
    await fleet.push(source, { 'fleet.yaml': fleetYaml('devices/*'), ...gone('tills/rv-1'), ...folder('devices/rv-1', { v: 1 }) });
    await eventually('it is to run the first', async () => (await get('rv-1')).desired.bundle === before);
    expect((await get('rv-1')).path).toBe('devices/rv-1');
  });

  test('a device whose folder went without an heir stays, and why says so with the folders of its name', async () => {
    const source = await fleet.source('gone', { layout: 'fleet' });
    const sites = fleetYaml('sites/*/*');
    await fleet.push(source, { 'fleet.yaml': sites, ...folder('sites/a/gone-1', { v: 1 }), ...folder('sites/a/other', { v: 1 }) });
    const device = await register('gone-1', source.id);
    expect(device.path).toBe('sites/a/gone-1');
    await device.settle();
    const runs = (await get('gone-1')).desired.bundle;
    await fleet.push(source, { ...gone('sites/a/gone-1'), ...folder('sites/b/gone-1', { v: 2 }), ...folder('sites/c/gone-1', { v: 3 }) });
    expect(await get('gone-1')).toMatchObject({ path: 'sites/a/gone-1', desired: { bundle: runs } });
    expect(await why('gone-1')).toMatchObject([
      {
        code: 'folder_removed',
        detail: expect.stringContaining('folders of that name: sites/b/gone-1, sites/c/gone-1'),
        unblockedBy: expect.stringContaining('devices bind gone-1 --path'),
      },
    ]);
    expect(await events('gone-1', 'device.folder_gone')).toHaveLength(1);
    // Once one of the two is left, it is the device's.
    await fleet.push(source, gone('sites/c/gone-1'));
    await eventually('it is to run the one that is left', async () => (await get('gone-1')).desired.bundle !== runs);
    expect((await get('gone-1')).path).toBe('sites/b/gone-1');
  });

  test('a device that was registered before its folder came follows it to wherever it comes', async () => {
    const source = await fleet.source('early', { layout: 'fleet' });
    const device = await register('early-1', source.id);
    expect(device.path).toBe('devices/early-1');
    await fleet.push(source, { 'fleet.yaml': fleetYaml('sites/*/*'), ...folder('sites/a/early-1', { v: 1 }) });
    await device.settle();
    expect((await get('early-1')).path).toBe('sites/a/early-1');
  });
});
