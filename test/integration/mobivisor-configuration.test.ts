import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Platform, PreparedPush, Push, PushConfiguration, PushTarget } from '../../src/integration/provider.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import type { Json } from '../../src/wire/text/json.ts';
import { open, platformOf, sent, signal, targetOf } from './mobivisor-scene.ts';

describe('configuration', () => {
  const configuration = (document: Json | undefined): PushConfiguration => ({
    digest: 'sha256:0',
    document,
    files: [],
    readFile: async () => new Uint8Array(),
  });

  async function deliver(push: Push, target: PushTarget, document: Json) {
    const prepared = stored(await push.prepare(target, configuration(document), signal));
    const receipt = stored(await push.apply(target, prepared, 'token', signal));
    return { prepared, receipt, verdict: await push.verify(target, prepared, receipt, 'token', signal) };
  }

  /** Between two steps everything is JSON. */
  const stored = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

  const DOCUMENT = {
    featureControls: [
      { feature: 'screen_brightness', value: 80 },
      { feature: 'camera', value: false },
    ],
    extraVariables: { store: '17', till: '7' },
  };

  test('complete lists are sent in one order, and the device shows them', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const { prepared, verdict } = await deliver(platform.push, target, DOCUMENT);
    expect(verdict).toEqual({ is: 'verified' });
    expect(prepared.isUnchanged).toBe(false);
    expect(sent(server, 'PUT', /./).map(({ body }) => body)).toEqual([
      [
        { feature: 'camera', booleanValue: false },
        { feature: 'screen_brightness', numberValue: 80 },
      ],
      { extraVariables: { store: '17', till: '7' } },
    ]);
    expect((await platform.push.prepare(target, configuration(DOCUMENT), signal)).isUnchanged).toBe(true);
  });

  test('where the platform shows nothing, the state is unverified, with the reason, and can only be replaced', async () => {
    const { server, platform } = await open({ showsConfiguration: false });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const { prepared, receipt, verdict } = await deliver(platform.push, target, DOCUMENT);
    expect(verdict).toEqual({ is: 'unverified', reason: expect.stringContaining('took the feature controls and shows neither') });
    expect(prepared).toMatchObject({ previous: null, isUnchanged: false });
    await expect(platform.push.cancel(target, prepared, receipt, signal)).rejects.toMatchObject({
      code: 'integration_unsupported',
      message: expect.stringContaining('feature control "camera"'),
    });
  });

  test('a command that the platform makes of a write is proof only when its status is known to mean done', async () => {
    const { server, platform } = await open({ showsConfiguration: false });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const answer = {
      _id: 'a'.repeat(24),
      user: target.externalId,
      commandType: 'Feature Controls',
      commandTypeOldFormat: 'feature_controls',
    };
    server.faults.push({ path: /featureControls$/, do: { is: 'answer', response: { status: 200, body: answer } } });
    const record = { ...answer, status: 'Waiting', commandData: '{}', timeCreated: new Date().toISOString() };
    server.account.commands.push(record);
    const document = { featureControls: [{ feature: 'camera', value: true }] };
    const { prepared, receipt, verdict } = await deliver(platform.push, target, document);
    expect(verdict).toEqual({ is: 'unverified', reason: 'command "feature_controls" has status "Waiting"' });
    const patient = platformOf(server, { proofSeconds: 600 });
    const verify = (one: Pick<Required<Platform>, 'push'>) => one.push.verify(target, prepared, receipt, 'token', signal);
    expect(await verify(patient)).toMatchObject({ is: 'pending' });
    record.status = 'Done';
    expect(await verify(patient)).toEqual({ is: 'verified' });
    record.status = 'Failed';
    expect(await verify(patient)).toMatchObject({ is: 'refused' });
  });

  test('a value that the device does not take stays pending, and is put back', async () => {
    const { server, platform } = await open({ variables: 'replace' });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    await deliver(platform.push, target, { featureControls: [{ feature: 'camera', value: true }], extraVariables: { till: '6' } });
    server.behave(target.externalId, { refuses: ['camera'] });
    const { prepared, receipt, verdict } = await deliver(platform.push, target, {
      featureControls: [{ feature: 'camera', value: false }],
      extraVariables: { till: '7', lane: 'b' },
    });
    expect(verdict).toMatchObject({ is: 'pending', reason: expect.stringContaining('camera') });
    server.behave(target.externalId, {});
    await platform.push.cancel(target, prepared, receipt, signal);
    expect(server.device(target.externalId).runs).toEqual({
      featureControls: [{ feature: 'camera', booleanValue: true }],
      extraVariables: { till: '6' },
    });
    await platform.push.cancel(target, prepared, null, signal);
  });

  test('what cannot be removed is named when a change is put back', async () => {
    const { server, platform } = await open({ variables: 'merge' });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const group = server.addGroup('tills');
    const { prepared, receipt } = await deliver(platform.push, target, {
      extraVariables: { lane: 'b' },
      groupApplications: [{ group, apps: ['b'.repeat(24)] }],
    });
    const error = await platform.push.cancel(target, prepared, receipt, signal).catch(String);
    expect(error).toContain('variable "lane"');
    expect(error).toContain(`of group "${group}"`);
  });

  test.each(['merge', 'replace'] as const)('variables of others stay on a platform that would %s', async (variables) => {
    const { server, platform } = await open({ variables });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const device = server.device(target.externalId);
    for (const one of [device.wanted, device.runs]) one.extraVariables = { theirs: 'x' };
    await deliver(platform.push, target, { extraVariables: { ours: 'y' } });
    expect(device.runs.extraVariables).toEqual({ ours: 'y', theirs: 'x' });
  });

  test('apps of a group are proven by the packages on the device', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const app = server.addApp({ name: 'Point of Sale', package: 'com.example.pos' });
    const missing = server.addApp({ name: 'Scanner', package: 'com.example.scanner' });
    const group = server.addGroup('tills');
    expect((await deliver(platform.push, target, { groupApplications: [{ group, apps: [app] }] })).verdict).toEqual({ is: 'verified' });
    expect(sent(server, 'PUT', /applications$/)[0]?.body).toEqual({ appIds: [app], appConfigs: [] });
    const { verdict } = await deliver(platform.push, target, { groupApplications: [{ group, apps: [app, missing] }] });
    expect(verdict).toEqual({ is: 'unverified', reason: expect.stringContaining('com.example.scanner') });
  });

  describe.each(['bare', 'wrapped'] as const)('managed configuration of an app object that stands %s', (form) => {
    test('is changed in the whole object of the present version, and put back', async () => {
      const { server, platform } = await open({ app: form });
      const target = targetOf(server.addDevice({ name: 'till 7' }));
      const theirs = { key: 'theme', value: 'dark', type: 'choice' };
      const app = server.addApp({
        name: 'PoS',
        package: 'com.example.pos',
        managedConfig: [theirs, { key: 'url', value: 'a', type: 'string' }],
      });
      const before = server.account.apps.get(app);
      const { prepared, receipt, verdict } = await deliver(platform.push, target, {
        managedConfig: [{ app, values: { url: 'b', lanes: 3 } }],
      });
      expect(server.account.apps.get(app)).toEqual({
        ...before,
        managedConfig: [theirs, { key: 'url', value: 'b', type: 'string' }, { key: 'lanes', value: 3 }],
        __v: 4,
      });
      expect(verdict).toEqual({ is: 'unverified', reason: expect.stringContaining('no call shows whether a device took it') });
      await platform.push.apply(target, prepared, 'token', signal);
      expect(sent(server, 'PUT', /mobileapps/)).toHaveLength(1);
      await platform.push.cancel(target, prepared, receipt, signal);
      expect(server.account.apps.get(app)).toEqual({ ...before, __v: 5 });
    });
  });

  test('an edit of somebody else in between is kept, and the write is repeated on it', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const app = server.addApp({ name: 'PoS', package: 'com.example.pos' });
    const edit = () => {
      const known = server.account.apps.get(app) ?? {};
      server.account.apps.set(app, {
        ...known,
        description: 'edited',
        managedConfig: [{ key: 'theme', value: 'dark' }],
        __v: Number(known.__v) + 1,
      });
    };
    server.faults.push({ method: 'PUT', path: /mobileapps/, do: { is: 'run', what: edit } });
    await deliver(platform.push, target, { managedConfig: [{ app, values: { lanes: 3 } }] });
    expect(server.account.apps.get(app)).toMatchObject({
      description: 'edited',
      managedConfig: [
        { key: 'theme', value: 'dark' },
        { key: 'lanes', value: 3 },
      ],
    });
  });

  test('an app that cannot be read is not written', async () => {
    const { server, platform } = await open({ readsApps: false });
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const app = server.addApp({ name: 'PoS', package: 'com.example.pos' });
    const wanted = configuration({ managedConfig: [{ app, values: { lanes: 3 } }] });
    await expect(platform.push.prepare(target, wanted, signal)).rejects.toMatchObject({ code: 'integration_not_found', retry: 'never' });
    expect(sent(server, 'PUT', /./)).toEqual([]);
  });

  test('the example of the page is a document', async () => {
    const page = await readFile(new URL('../../docs/mobivisor.md', import.meta.url), 'utf8');
    const example = /^```yaml\n(.*?)^```/ms.exec(page)?.[1] ?? '';
    expect(BUILT_IN.of('mobivisor').document?.schema.parse(parse(example))).toMatchObject({ managedConfig: [{ values: { theme: null } }] });
  });

  test.each<[Json | undefined, string]>([
    [undefined, 'no mobivisor.yaml'],
    [{ featureControls: [{ feature: 'camera', value: 'off' }] }, '/featureControls/0/value'],
    [
      {
        featureControls: [
          { feature: 'a', value: 1 },
          { feature: 'a', value: 2 },
        ],
      },
      '/featureControls/1/feature must be named once',
    ],
    [{ extraVariables: { port: 8080 } }, 'quotes'],
    [{ managedConfig: [{ app: 'pos', values: {} }] }, '24 hex digits'],
    [{ policies: [] }, 'policies'],
  ])('the document %j is refused before anything is asked', async (document, part) => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    await expect(platform.push.prepare(target, configuration(document), signal)).rejects.toMatchObject({
      code: 'integration_rejected',
      retry: 'never',
      message: expect.stringContaining(part),
    });
    expect(server.requests).toEqual([]);
  });

  test('a step that was cut off is done again without another effect', async () => {
    const { server, platform } = await open();
    const target = targetOf(server.addDevice({ name: 'till 7' }));
    const prepared: PreparedPush = stored(await platform.push.prepare(target, configuration(DOCUMENT), signal));
    server.faults.push({ path: /extraVariables$/, do: { is: 'answer', response: { status: 400, body: 'no' } } });
    await expect(platform.push.apply(target, prepared, 'token', signal)).rejects.toMatchObject({ code: 'integration_rejected' });
    const receipt = stored(await platform.push.apply(target, prepared, 'token', signal));
    expect(await platform.push.verify(target, prepared, receipt, 'token', signal)).toEqual({ is: 'verified' });
  });
});
