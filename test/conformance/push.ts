import { expect, test } from 'vitest';
import type { VendorServer } from '../../src/demo/vendors/vendor-server.ts';
import type { Platform, PreparedPush, Verification } from '../../src/integration/provider.ts';
import type { Json } from '../../src/wire/text/json.ts';
import { able, addDevices, openScene } from './scene.ts';
import { configuration, type Subject, signal, stored, targetOf, writesOf } from './subject.ts';

export function pushFacts<Server extends VendorServer>(subject: Subject<Server>): void {
  const { abilities } = subject.provider;
  if (abilities.push === false || subject.push === undefined) return;
  const { first, second, invalid, key } = subject.push;
  const held = (server: Server, id: string): Json => stored(subject.push?.held(server, id) ?? null);

  async function scene() {
    const { server, platform } = await openScene(subject);
    const [id = '', other = ''] = addDevices(server, 2);
    const push = steps(platform, id);
    const confirmed = await push.prepare(first);
    await push.confirm(confirmed, await push.apply(confirmed, 'token-1'));
    return { server, id, other, push, before: held(server, id), others: held(server, other) };
  }

  test('preparing changes nothing, applying does, and cancelling puts back what was there', async () => {
    const { server, id, other, push, before, others } = await scene();
    const writes = writesOf(server).length;
    const prepared = await push.prepare(second);
    expect(prepared.isUnchanged).toBe(false);
    expect(writesOf(server)).toHaveLength(writes);
    const receipt = await push.apply(prepared, 'token-2');
    expect(held(server, id)).not.toEqual(before);
    const { is } = await push.verify(prepared, receipt, 'token-2');
    if (abilities.push === 'verified') expect(is).toBe('verified');
    else expect(is).not.toBe('refused');
    await push.cancel(prepared, receipt);
    expect(held(server, id)).toEqual(before);
    await push.cancel(prepared, receipt);
    expect(held(server, id)).toEqual(before);
    expect(held(server, other)).toEqual(others);
  });

  test('applying twice with the same token has the effect of once', async () => {
    const { server, id, push, before } = await scene();
    const prepared = await push.prepare(second);
    await push.apply(prepared, 'token-2');
    const once = held(server, id);
    const receipt = await push.apply(prepared, 'token-2');
    expect(held(server, id)).toEqual(once);
    expect((await push.verify(prepared, receipt, 'token-2')).is).not.toBe('refused');
    await push.cancel(prepared, receipt);
    expect(held(server, id)).toEqual(before);
  });

  test('a process that died while it applied is undone without a receipt', async () => {
    const { server, id, push, before } = await scene();
    const prepared = await push.prepare(second);
    await push.apply(prepared, 'token-2');
    await push.cancel(prepared, null);
    expect(held(server, id)).toEqual(before);
    // It died before it had sent anything.
    await push.cancel(await push.prepare(second), null);
    expect(held(server, id)).toEqual(before);
  });

  test.each([1, 2, 3])('a change that breaks off at write %i is applied again, or undone', async (broken) => {
    const { server, id, push, before } = await scene();
    const prepared = await push.prepare(second);
    const refusal = { is: 'answer', response: { status: 400, body: { message: 'broken off' } } } as const;
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      // One count for all methods cannot be told to the server, so that the first writes of each method pass.
      for (let passed = 1; passed < broken; passed += 1) server.faults.push({ method, do: { is: 'run', what: () => {} } });
      server.faults.push({ method, do: refusal });
    }
    await push.apply(prepared, 'token-2').catch((error: unknown) => expect(error).toMatchObject({ code: 'integration_rejected' }));
    server.faults.length = 0;
    const receipt = await push.apply(prepared, 'token-2');
    expect((await push.verify(prepared, receipt, 'token-2')).is).not.toBe('refused');
    await push.cancel(prepared, null);
    expect(held(server, id)).toEqual(before);
  });

  test('a configuration that the platform does not take is refused before anything is changed', async () => {
    const { server, id, push, before } = await scene();
    const writes = writesOf(server).length;
    await expect(push.prepare(invalid)).rejects.toMatchObject({ code: 'integration_rejected', retry: 'never' });
    expect(writesOf(server)).toHaveLength(writes);
    expect(held(server, id)).toEqual(before);
  });

  test.each([{ offline: true }, { refuses: [key] }])('a device with %j is not verified', async (behaviour) => {
    const { server, id, push } = await scene();
    server.behave(id, behaviour);
    const prepared = await push.prepare(second);
    const receipt = await push.apply(prepared, 'token-2');
    expect((await push.verify(prepared, receipt, 'token-2')).is).not.toBe('verified');
    // The first receipt is lost with its process.
    const again = await push.apply(prepared, 'token-2');
    expect((await push.verify(prepared, again, 'token-2')).is).not.toBe('verified');
  });

  test('an error of a write shows no credentials', async () => {
    const { server, push } = await scene();
    const prepared = await push.prepare(second);
    const secrets = Object.values(server.credentials);
    const response = { status: 400, body: { message: `refused: ${secrets.join(' ')}` } };
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) server.faults.push({ method, times: 100, do: { is: 'answer', response } });
    const error = await push.apply(prepared, 'token-2').catch(String);
    expect(error).toContain('refused');
    for (const secret of secrets) expect(error).not.toContain(secret);
  });
}

/** The steps as the engine takes them, with all that it stores as JSON. */
function steps(platform: Platform, externalId: string) {
  const push = able(platform.push);
  const target = targetOf(externalId);
  return {
    prepare: async (document: Json): Promise<PreparedPush> => stored(await push.prepare(target, configuration(document), signal)),
    apply: async (prepared: PreparedPush, token: string): Promise<Json> => stored(await push.apply(target, prepared, token, signal)),
    verify: (prepared: PreparedPush, receipt: Json, token: string): Promise<Verification> =>
      push.verify(target, prepared, receipt, token, signal),
    confirm: async (prepared: PreparedPush, receipt: Json): Promise<void> => push.confirm?.(target, prepared, receipt, signal),
    cancel: (prepared: PreparedPush, receipt: Json | null): Promise<void> => push.cancel(target, prepared, receipt, signal),
  };
}
