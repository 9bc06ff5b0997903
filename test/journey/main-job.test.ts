import { expect, test } from 'vitest';
import { createDevice } from '../agent/device.ts';
import { openGitHost } from '../support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { eventually, openService } from '../support/service.ts';

const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
validate:
  - files: "config/*.json"
    schema: schema.json
files:
  - from: config/app.json
    to: app.json
apply:
  hooks: { after: reload }
  health: { hook: check-config, timeoutSeconds: 5 }
  confirmTimeoutSeconds: 20
`;
const SCHEMA = JSON.stringify({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  required: ['vlan'],
  properties: { vlan: { type: 'integer', minimum: 1, maximum: 4094 }, host: { type: 'string' } },
});
const files = (config: unknown) => ({ 'bellwether.yaml': MANIFEST, 'schema.json': SCHEMA, 'config/app.json': JSON.stringify(config) });

test('a good commit reaches the device, one that does not validate touches nothing, one that fails the health check goes back', async () => {
  await using host = await openGitHost();
  await using service = await openService();
  const url = await host.createRepository('terminal');
  const source = (
    await service.api('POST', '/sources', { name: 'terminal', url, layout: 'repo', webhook: { provider: 'gitlab', secret: SIGNING_TOKEN } })
  ).body;
  const registered = (await service.api('POST', '/devices', { id: 'terminal-1', type: 'pos', sourceId: source.id })).body;
  await using device = await createDevice(service.url);
  await device.hook('reload', 'exit 0');
  await device.hook('check-config', '! grep -q "\\.invalid" "$BELLWETHER_RELEASE/app.json" || { echo "host does not resolve"; exit 1; }');
  device.start({}, ['--device-id', 'terminal-1', '--api-key', registered.apiKey]);
  const status = async () => (await service.api('GET', '/devices/terminal-1/status')).body;
  const push = async (config: unknown) => {
    const after = await host.commit('terminal', files(config));
    expect((await postGitLabPush(source.hookUrl, { after })).status).toBe(202);
    return after;
  };

  await push({ vlan: 10, host: 'a.example' });
  await eventually('the good commit is applied', async () => (await status()).converged && (await device.current()) !== null);
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":10,"host":"a.example"}' });

  const bad = await push({ vlan: 5000, host: 'a.example' });
  const rejected = await eventually('the verdict', async () =>
    (await service.api('GET', `/sources/${source.id}/revisions`)).body.items.find((r: { commit: string }) => r.commit === bad),
  );
  expect(rejected.verdict).toBe('invalid');
  const detail = (await service.api('GET', `/revisions/${rejected.id}`)).body;
  expect(detail.paths[0].errors[0]).toMatchObject({
    file: 'config/app.json',
    line: 1,
    pointer: '/vlan',
    rule: 'maximum',
    limit: 4094,
    actual: 5000,
  });
  expect(detail.devices).toEqual([]);
  expect((await service.api('GET', '/devices/terminal-1/why')).body.map((b: { code: string }) => b.code)).toContain('validation_failed');
  expect((await service.api('GET', '/devices/terminal-1/deployments')).body.items).toHaveLength(1);

  await push({ vlan: 10, host: 'b.invalid' });
  await eventually('the rollback', async () => (await status()).device.syncStatus === 'rolled_back');
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":10,"host":"a.example"}' });
  const [last] = (await service.api('GET', '/devices/terminal-1/deployments')).body.items;
  expect(last).toMatchObject({ state: 'rolled_back', error: { code: 'health_check_failed' } });
  expect((await status()).why[0]).toMatchObject({ code: 'rolled_back' });

  await push({ vlan: 11, host: 'a.example' });
  await eventually('the fix is applied', async () => (await status()).converged);
  expect(await device.current()).toEqual({ 'app.json': '644 {"vlan":11,"host":"a.example"}' });
});
