import { expect, test } from 'vitest';
import type { VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import { fieldsOf } from '../../src/integration/provider.ts';
import { addDevices, openScene } from './scene.ts';
import { idsOf, type Subject, walk } from './subject.ts';

export function listFacts<Server extends VendorServer>(subject: Subject<Server>): void {
  test('a walk shows every device once, and authenticates every request', async () => {
    const { server, platform } = await openScene(subject);
    const ids = addDevices(server, subject.devices);
    const devices = await walk(platform);
    expect(idsOf(devices).toSorted()).toEqual(ids.toSorted());
    expect(devices.map(({ values }) => values.name)).toContain('till-0');
    const fields = Object.keys(fieldsOf(subject.provider, server.settings));
    for (const { values } of devices) for (const field of Object.keys(values)) expect(fields).toContain(field);
    const secrets = Object.values(server.credentials);
    expect(server.requests.length).toBeGreaterThan(2);
    for (const { headers, path } of server.requests)
      expect(
        secrets.some((secret) => JSON.stringify(headers).includes(secret)),
        path,
      ).toBe(true);
    expect(server.requests.every(({ method }) => method === 'GET')).toBe(true);
  });

  test('an account without devices is one short walk', async () => {
    const { platform } = await openScene(subject);
    expect(await walk(platform)).toEqual([]);
  });

  test('after pages that shift during a walk, the next walk completes what is known', async () => {
    const { server, platform } = await openScene(subject);
    const [gone = '', ...ids] = addDevices(server, subject.devices);
    let added = '';
    const shift = () => {
      server.removeDevice(gone);
      added = server.addDevice({ name: 'till-new' });
    };
    // It hits the second page.
    const pass = { is: 'run', what: () => {} } as const;
    server.faults.push({ path: subject.listPath ?? /./, do: pass }, { path: subject.listPath ?? /./, do: { is: 'run', what: shift } });
    const first = idsOf(await walk(platform));
    expect(added).not.toBe('');
    const second = idsOf(await walk(platform));
    expect(new Set(first).size).toBe(first.length);
    expect(second.toSorted()).toEqual([...ids, added].toSorted());
  });

  test('a device keeps its id and its identities when it is renamed in the console', async () => {
    const { server, platform } = await openScene(subject);
    const [id = ''] = addDevices(server, 1);
    const [before] = await walk(platform);
    server.change(id, { name: 'renamed' });
    const [after] = await walk(platform);
    expect(after).toMatchObject({ externalId: id, identities: before?.identities, values: { name: 'renamed' } });
  });
}
