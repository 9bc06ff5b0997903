import { openGolioth } from '../../src/demo/vendors/golioth/server.ts';
import { openFleet } from '../support/fleet.ts';
import { eventually } from '../support/service.ts';

/** A schema and a policy with canaries for tills; a commit with `mode: broken` fails the health check of every device. */
const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
validate:
  - { files: "config/*.json", schema: schemas/till.schema.json }
rollout:
  waves:
    - { name: canary, count: 3, bakeSeconds: 1 }
    - { name: early, upToPercent: 25 }
    - { name: everyone, upToPercent: 100 }
  gate: { success: 90, minSucceeded: 1 }
  errorBudget: { max: 10%, minSample: 3 }
`;
const SCHEMA = JSON.stringify({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  required: ['vlan', 'host'],
  properties: { vlan: { type: 'integer', minimum: 1, maximum: 4094 }, host: { type: 'string' }, mode: { type: 'string' } },
});
const till = (settings: Record<string, unknown>) =>
  `${JSON.stringify({ vlan: 120, host: 'pos.example.com', currency: 'EUR', ...settings }, null, 2)}\n`;

export const filesOfTills = (settings: Record<string, unknown> = {}): Record<string, string> => ({
  'bellwether.yaml': MANIFEST,
  'schemas/till.schema.json': SCHEMA,
  'config/terminal.json': till(settings),
  'config/printer.yaml': 'paper: 80mm\ncut: true\nlogo: assets/logo.png\n',
});

/**
 * A fleet as people have it: tills that mostly run the newest commit, an aborted canary, gateways that wait for an approval, a source whose host is
 * away, a rejected commit, devices of a platform with a conflict, held and offline devices.
 */
export async function openTown(options: { tills?: number; gateways?: number } = {}) {
  const fleet = await openFleet();
  const { api } = fleet;
  const golioth = await openGolioth({ devices: 12 });
  const sites = await Promise.all(
    ['Hamburg Altona', 'Lyon Part-Dieu', 'Porto Centro'].map(async (name) => (await api('POST', '/sites', { name })).body),
  );
  const tills = await fleet.source('tills');
  await fleet.push(tills, filesOfTills(), { author: 'Ada Marín <ada@example.com>' });
  const keys = await fleet.enrol(tills, options.tills ?? 60, 'till', { siteId: sites[0].id, labels: { floor: '1', ring: 'stable' } });
  const running = await fleet.run(keys, { latencyMs: 30, telemetrySeconds: 2, failWhen: /"mode": "broken"/, failWhenShare: 1 });
  await fleet.rollout(tills, 'completed');
  await fleet.push(tills, filesOfTills({ mode: 'broken' }), { author: 'Björn Lund <bjorn@example.com>' });
  await fleet.rollout(tills, 'aborted');
  await fleet.push(tills, filesOfTills({ vlan: 130 }), { author: 'Ada Marín <ada@example.com>' });
  await fleet.rollout(tills, 'completed');
  await fleet.push(tills, filesOfTills({ mode: 'broken', vlan: 131 }), { author: 'Björn Lund <bjorn@example.com>' });
  await fleet.rollout(tills, 'aborted');
  await fleet.push(tills, filesOfTills({ vlan: 5_000 }), { author: 'Chidi Obi <chidi@example.com>' });
  const gateways = await fleet.source('gateways', {
    rolloutPolicy: { waves: [{ name: 'canary', count: 2, approval: true }, { upToPercent: 100 }] },
  });
  await fleet.push(gateways, { 'gateway.yaml': 'uplink: lte\nvpn:\n  peer: 203.0.113.7\n  psk: "s3cr3t-psk-value-9"\n' });
  const gatewayKeys = await fleet.enrol(gateways, options.gateways ?? 12, 'gateway', { siteId: sites[1].id, labels: { uplink: 'lte' } });
  const runningGateways = await fleet.run(gatewayKeys, { latencyMs: 30, telemetrySeconds: 2 });
  await api('POST', '/sources', { name: 'signage', url: 'http://127.0.0.1:9/signage.git', layout: 'fleet', pollIntervalSeconds: 3_600 });
  await api('POST', '/devices/till-0007/hold', { reason: 'The technician is on site until noon' });
  await api('POST', '/integrations', {
    type: 'golioth',
    name: 'Meters',
    settings: golioth.settings,
    credentials: golioth.credentials,
    direction: 'both',
    strategy: 'manual',
  });
  await api('POST', '/integrations/golioth/sync');
  await eventually(
    'the devices of the platform',
    async () =>
      (await api('GET', '/devices?limit=500&q=meter')).body.items.length > 0 ||
      (await api('GET', '/integrations/golioth')).body.lastSuccessAt !== null,
  );
  return {
    ...fleet,
    ...{ golioth, tills, gateways, sites, running, runningGateways },
    async [Symbol.asyncDispose]() {
      await fleet[Symbol.asyncDispose]();
      await golioth.close();
    },
  };
}
