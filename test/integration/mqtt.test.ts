import { afterAll, beforeAll, expect, test } from 'vitest';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import type { Platform, PushConfiguration } from '../../src/integration/provider.ts';
import { mqtt } from '../../src/integration/providers/mqtt/provider.ts';
import type { Json } from '../../src/wire/text/json.ts';
import { openBroker, playDevice } from '../support/mqtt.ts';
import { eventually } from '../support/service.ts';

let broker: Awaited<ReturnType<typeof openBroker>>;
const open: Platform[] = [];
beforeAll(async () => {
  broker = await openBroker();
});
afterAll(async () => {
  for (const platform of open) await platform.close?.();
  await broker.close();
});

const guard = addressGuard({ allowPrivate: true });
const signal = () => AbortSignal.timeout(30_000);

function platformAt(
  url: string,
  credentials: Record<string, string> = {},
  sockets = { guard, isolate: (work: () => Promise<unknown>) => work() as never, tlsOnly: false },
) {
  const connect = () => expect.unreachable('an MQTT platform calls no HTTP API');
  const platform = mqtt.open({ settings: { url, protocolVersion: 4 }, credentials, connect, sockets });
  open.push(platform);
  return platform;
}

const targetOf = (externalId: string) => ({ organizationId: 'o', deviceId: externalId, externalId });
const configuration = (digest: string, document: Json | undefined, files: Record<string, string> = {}): PushConfiguration => ({
  digest,
  document,
  files: Object.entries(files).map(([path, text]) => ({ path, size: text.length, sha256: path })),
  readFile: async (path) => Buffer.from(files[path] ?? ''),
});

/** Prepares and applies. @returns how its verdict is asked for, and how it is put back */
async function push(platform: Platform, device: string, wanted: PushConfiguration, token: string) {
  const { prepare, apply, verify, cancel } = platform.push!;
  const prepared = await prepare(targetOf(device), wanted, signal());
  const receipt = await apply(targetOf(device), prepared, token, signal());
  return {
    prepared,
    verdict: () => verify(targetOf(device), prepared, receipt, token, signal()),
    cancel: () => cancel(targetOf(device), prepared, receipt, signal()),
  };
}

test('a device takes its configuration, and its report verifies it; one that cannot apply it refuses with its reason', async () => {
  const platform = platformAt(broker.url);
  const device = await playDevice(broker.url, 'meter', { refuse: ({ document }) => (document === 'bad' ? 'no such mode' : undefined) });
  const good = await push(platform, 'meter', configuration('d1', { rate: 1 }), 't1');
  expect(await good.verdict()).toEqual({ is: 'verified' });
  expect(device.taken).toEqual([{ digest: 'd1', token: 't1', document: { rate: 1 } }]);
  const bad = await push(platform, 'meter', configuration('d2', 'bad'), 't2');
  expect(bad.prepared.previous).toEqual({ digest: 'd1', token: 't1', document: { rate: 1 } });
  expect(await bad.verdict()).toEqual({ is: 'refused', reason: 'no such mode' });
  await bad.cancel();
  await eventually('the device has the previous message again', async () => device.taken.length === 3);
  expect(device.taken[2]).toEqual(device.taken[0]);
  await device.close();
});

test('a bundle without the document is sent as files', async () => {
  const platform = platformAt(broker.url);
  const device = await playDevice(broker.url, 'filer');
  const pushed = await push(platform, 'filer', configuration('d1', undefined, { 'a.txt': 'hello' }), 't1');
  expect(await pushed.verdict()).toEqual({ is: 'verified' });
  expect(device.taken[0]?.files).toEqual([{ path: 'a.txt', content: Buffer.from('hello').toString('base64') }]);
  await device.close();
});

test('a device that is offline takes the configuration when it connects; one that was never there loses it when it is cancelled', async () => {
  const platform = platformAt(broker.url);
  const pushed = await push(platform, 'sleeper', configuration('d1', 1), 't1');
  expect(await pushed.verdict()).toMatchObject({ is: 'pending' });
  const device = await playDevice(broker.url, 'sleeper');
  await eventually('it is verified', async () => (await pushed.verdict()).is === 'verified');
  await device.close();
  const other = await push(platform, 'nobody', configuration('d1', 1), 't1');
  await other.cancel();
  const late = await playDevice(broker.url, 'nobody');
  // Its own message proves that the subscription is served.
  const again = await push(platform, 'nobody', configuration('d2', 2), 't2');
  expect(await again.verdict()).toEqual({ is: 'verified' });
  expect(late.taken.map(({ digest }) => digest)).toEqual(['d2']);
  await late.close();
});

test('after a restart of the broker the connection returns and reads all topics anew', async () => {
  const platform = platformAt(broker.url);
  await (await push(platform, 'router', configuration('d1', 1), 't1')).verdict();
  const given = await platform.push!.prepare(targetOf('router'), configuration('d2', 2), signal());
  await broker.stop();
  // Nobody waits for this message any more: it must not be sent after the restart.
  await expect(platform.push!.apply(targetOf('router'), given, 't2', AbortSignal.timeout(300))).rejects.toThrow();
  await broker.start();
  const device = await playDevice(broker.url, 'router');
  const prepared = await platform.push!.prepare(targetOf('router'), configuration('d2', 2), signal());
  expect(prepared.previous).toMatchObject({ digest: 'd1', token: 't1' });
  const pushed = await push(platform, 'router', configuration('d2', 2), 't3');
  expect(await pushed.verdict()).toEqual({ is: 'verified' });
  expect(device.taken.map(({ token }) => token)).toEqual(['t1', 't3']);
  await device.close();
});

test('devices are found by what they report, and their last will shows that they are gone', async () => {
  const platform = platformAt(broker.url);
  const device = await playDevice(broker.url, 'lamp');
  const lamp = async () => (await platform.list!(null, signal())).devices.find(({ externalId }) => externalId === 'lamp');
  expect(await lamp()).toMatchObject({ values: { name: 'lamp' }, connectivity: 'online' });
  await device.lose();
  await eventually('it is offline', async () => (await lamp())?.connectivity === 'offline');
});

test('a wrong password is reported as such, and the right one connects', async () => {
  const guarded = await openBroker({ password: 'right-password' });
  const wrong = platformAt(guarded.url, { username: 'u', password: 'wrong-password' });
  await expect(wrong.test(signal())).rejects.toMatchObject({ code: 'integration_unauthorized' });
  await wrong.close?.();
  const right = platformAt(guarded.url, { username: 'u', password: 'right-password' });
  expect(await right.test(signal())).toMatchObject({ devices: 0 });
  await right.close?.();
  await guarded.close();
});

test('a private address is refused unless it is allowed; so are a message that is too large and an id that is no topic level', async () => {
  const isolate = (work: () => Promise<unknown>) => work() as never;
  const closed = platformAt(broker.url, {}, { guard: addressGuard({ allowPrivate: false }), isolate, tlsOnly: false });
  await expect(closed.test(signal())).rejects.toMatchObject({ code: 'address_refused' });
  expect(() => platformAt(broker.url, {}, { guard, isolate, tlsOnly: true })).toThrow(/must be "mqtts"/);
  const platform = platformAt(broker.url);
  const prepare = (device: string, wanted: PushConfiguration) => platform.push!.prepare(targetOf(device), wanted, signal());
  await expect(prepare('a/b', configuration('d', 1))).rejects.toThrow(/its id is no level of a topic/);
  await expect(prepare('a', configuration('d', 'x'.repeat(1024 * 1024)))).rejects.toThrow(/must be <= 1048576/);
});
