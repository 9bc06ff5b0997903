import { expect, test } from 'vitest';
import type { VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import { able, addDevices, openScene } from './scene.ts';
import { type Subject, signal, stored, walk, writesOf } from './subject.ts';

export function deviceFacts<Server extends VendorServer>(subject: Subject<Server>): void {
  const { abilities } = subject.provider;

  test.runIf(abilities.list)('a device is read as the list shows it, and one that is gone is undefined', async () => {
    const { server, platform } = await openScene(subject);
    const [id = ''] = addDevices(server, 2);
    const read = able(platform.read);
    const listed = (await walk(platform)).find(({ externalId }) => externalId === id);
    expect(await read(id, signal)).toMatchObject({ externalId: id, values: listed?.values, identities: listed?.identities });
    server.removeDevice(id);
    expect(await read(id, signal)).toBeUndefined();
  });

  test.runIf(abilities.update)('an update writes its fields alone', async () => {
    const { server, platform } = await openScene(subject);
    const { field, value } = able(subject.update);
    const [id = '', other = ''] = addDevices(server, 2);
    const shown = (one: string) => stored(server.shown(one) ?? {});
    const [before, others] = [shown(id), shown(other)];
    const updated = await able(platform.update)(id, { [field]: value }, signal);
    expect(updated.values[field]).toEqual(value);
    expect((await platform.read?.(id, signal))?.values[field]).toEqual(value);
    const after = shown(id);
    const changed = Object.keys({ ...before, ...after }).filter((name) => JSON.stringify(after[name]) !== JSON.stringify(before[name]));
    expect(changed.filter((name) => name !== 'updatedAt')).toHaveLength(1);
    expect(shown(other)).toEqual(others);
    const writes = writesOf(server).length;
    await expect(able(platform.update)(id, { 'no-such-field': 'x' }, signal)).rejects.toMatchObject({ code: 'integration_unsupported' });
    expect(writesOf(server)).toHaveLength(writes);
  });

  test.runIf(abilities.create)('a device is created once, and found by its marker when the answer is lost', async () => {
    const { server, platform } = await openScene(subject);
    const create = able(platform.create);
    const device = await create({ name: 'new till', values: subject.created ?? {}, marker: 'bw-marker-1' }, signal);
    expect(device.values).toMatchObject({ name: 'new till', ...subject.created });
    for (const fault of ['drop', 'lost_answer'] as const) {
      const writes = writesOf(server).length;
      server.faults.push({ method: 'POST', do: { is: fault } });
      const marker = `bw-marker-${fault}`;
      await expect(create({ name: `till ${fault}`, values: {}, marker }, signal)).rejects.toMatchObject({
        code: 'integration_unreachable',
      });
      expect(writesOf(server)).toHaveLength(writes + 1);
      const found = (await walk(platform)).filter(({ identities }) => identities.some(({ value }) => value === marker));
      expect(found).toHaveLength(fault === 'drop' ? 0 : 1);
    }
  });

  test.runIf(abilities.delete)('a device is deleted, and once more without harm', async () => {
    const { server, platform } = await openScene(subject);
    const [id = '', other = ''] = addDevices(server, 2);
    await able(platform.delete)(id, signal);
    await able(platform.delete)(id, signal);
    expect(server.shown(id)).toBeUndefined();
    expect(server.shown(other)).toBeDefined();
  });
}
