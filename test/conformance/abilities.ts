import { expect, test } from 'vitest';
import type { VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import { able, addDevices, openScene } from './scene.ts';
import { type Subject, signal, targetOf } from './subject.ts';

export function abilityFacts<Server extends VendorServer>(subject: Subject<Server>): void {
  const { provider } = subject;

  test('its flags name the methods of the opened platform', async () => {
    const { platform } = await openScene(subject);
    const { abilities } = provider;
    expect({
      list: platform.list !== undefined,
      create: platform.create !== undefined,
      update: platform.update !== undefined,
      delete: platform.delete !== undefined,
      push: platform.push !== undefined,
      nativeConfirm: platform.push?.confirm !== undefined,
      execute: platform.execute !== undefined,
      hook: platform.hook !== undefined,
      view: platform.view !== undefined,
    }).toEqual({
      list: abilities.list,
      create: abilities.create,
      update: abilities.update,
      delete: abilities.delete,
      push: abilities.push !== false,
      nativeConfirm: abilities.nativeConfirm,
      execute: abilities.execute,
      hook: abilities.hook,
      view: Object.keys(provider.views).length > 0,
    });
  });

  test('opening it sends no request, and testing it names the account', async () => {
    const { server, platform } = await openScene(subject);
    expect(server.requests).toEqual([]);
    addDevices(server, 2);
    const { account, sample } = await platform.test(signal);
    expect(account).not.toBe('');
    expect(sample.length).toBe(provider.abilities.list ? 2 : 0);
    expect(JSON.stringify([account, sample])).not.toContain(Object.values(server.credentials)[0]);
  });

  test.runIf(Object.keys(provider.views).length > 0)('its views show no secret, and an unknown view is refused', async () => {
    const { server, platform } = await openScene(subject);
    const [id = ''] = addDevices(server, 1);
    const secrets = subject.plant?.(server, id) ?? [];
    const view = able(platform.view);
    for (const name of Object.keys(provider.views)) {
      const shown = JSON.stringify(await view(name, targetOf(id), {}, signal));
      for (const secret of secrets) expect(shown, name).not.toContain(secret);
    }
    await expect(view('no-such-view', targetOf(id), {}, signal)).rejects.toMatchObject({ code: 'integration_unsupported' });
  });

  test.runIf(provider.abilities.hook)('its hook is verified by the secret, and names the device', async () => {
    const { server, platform } = await openScene(subject);
    const hook = able(platform.hook);
    const [id = ''] = addDevices(server, 1);
    const make = able(subject.hook);
    const right = make(id, 'right-secret-0001');
    expect(hook.verify(right, 'right-secret-0001')).toBe(true);
    expect(hook.verify(right, 'right-secret-0002')).toBe(false);
    expect(hook.verify(make(id, 'right-secret-000'), 'right-secret-0001')).toBe(false);
    expect(hook.verify(make(id, ''), 'right-secret-0001')).toBe(false);
    expect(hook.verify(make(id, undefined), 'right-secret-0001')).toBe(false);
    expect(hook.parse(right).devices.map(({ externalId }) => externalId)).toEqual([id]);
    expect(() => hook.parse({ headers: new Headers(), rawBody: Buffer.from('{"a":') })).toThrow(
      expect.objectContaining({ code: 'hook_malformed' }),
    );
  });
}
