import { expect, onTestFinished, test } from 'vitest';
import { serveVendor } from '../../src/demo/vendors/vendor-server.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { vendorConnector } from '../../src/integration/api.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import { checkAccount } from '../../src/integration/settings/account.ts';
import { signal, walk } from '../conformance/subject.ts';

const connect = vendorConnector({ guard: addressGuard({ allowPrivate: true }), isolate: (work) => work() });

test.each([
  ['garmin', 1],
  ['xiaomi', 2],
  ['strava', 2],
  ['apple', 1],
  ['manual', 24],
])('%s syncs every %i h by default', (kind, hours) => {
  expect(BUILT_IN.of(kind).defaultIntervalSeconds).toBe(hours * 3_600);
  expect(checkAccount(BUILT_IN.of(kind), { settings: {}, credentials: {} }).settings).toBeDefined();
});

test.each(['garmin', 'xiaomi', 'strava', 'apple'])(
  '%s says what it needs until it has an address, and then lists devices',
  async (kind) => {
    const provider = BUILT_IN.of(kind);
    const nowhere = provider.open({ settings: {}, credentials: {}, connect });
    await expect(nowhere.test(signal)).rejects.toThrow('the integration has no address; set settings.baseUrl');
    const served = await serveVendor(({ path }) => ({ status: 200, body: path === '/v3/gear' ? [{ id: 1, name: 'Watch' }] : [] }));
    onTestFinished(() => served.close());
    const settings = { baseUrl: served.url, list: { path: '/v3/gear' } };
    const devices = await walk(provider.open({ settings, credentials: { token: 'secret-token' }, connect }));
    expect(devices).toMatchObject([{ externalId: '1', values: { name: 'Watch' } }]);
  },
);

test('a type of the earlier system takes no configuration, and its settings must not describe any', () => {
  const settings = { baseUrl: 'https://p.example', configuration: { write: { path: '/d/{id}' } } };
  expect(() => checkAccount(BUILT_IN.of('garmin'), { settings, credentials: {} })).toThrow('configuration');
});

test('manual has no platform: every walk succeeds and shows nothing', async () => {
  const platform = BUILT_IN.of('manual').open({ settings: {}, credentials: {}, connect });
  expect(await walk(platform)).toEqual([]);
  expect(await platform.test(signal)).toMatchObject({ devices: 0, sample: [] });
});
