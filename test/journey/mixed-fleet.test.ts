import { expect, test } from 'vitest';
import { mqtt } from '../../src/integration/providers/mqtt/provider.ts';
import { createProviders } from '../../src/integration/registry.ts';
import { scriptPlatform } from '../push/platform.ts';
import { openFleet } from '../support/fleet.ts';
import { openBroker, playDevice } from '../support/mqtt.ts';
import { eventually } from '../support/service.ts';

/** One commit for all: agents take the whole bundle, the platform `app.json`, and the broker's devices `mqtt.json`. */
const config = (n: number) => ({ 'app.json': JSON.stringify({ n }), 'mqtt.json': JSON.stringify({ n }) });

test('one rollout over agents, a platform and MQTT devices stops in its canary wave when the MQTT device refuses, and all canaries are back', async () => {
  const shelf = scriptPlatform('shelf');
  const broker = await openBroker();
  const meter = await playDevice(broker.url, 'meter', {
    refuse: ({ document }) => (JSON.stringify(document) === '{"n":2}' ? 'n is out of range' : undefined),
  });
  try {
    await using fleet = await openFleet({}, { providers: createProviders([shelf.provider, mqtt]) });
    const { api } = fleet;
    const source = await fleet.source('mixed', { rolloutPolicy: { waves: [{ name: 'canary', count: 3 }] } });
    const integrate = async (type: string, device: string, settings: object, external: string) => {
      const made = await api('POST', '/integrations', { type, name: type, settings, credentials: {}, autoSync: false });
      expect(made.status, JSON.stringify(made.body)).toBe(201);
      expect((await api('POST', '/devices', { id: device, type: 'x', adapter: type, sourceId: source.id })).status).toBe(201);
      await fleet.service.database.sql`
        insert into device_service_assignments (organization_id, service_id, device_id, external_id)
        select organization_id, id, ${device}, ${external} from device_services where id = ${made.body.id}`;
    };
    await integrate('mqtt', 'a-meter', { url: broker.url, protocolVersion: 4 }, 'meter');
    await integrate('shelf', 'b-gateway', {}, 'gateway');
    await fleet.run(await fleet.enrol(source, 4, 'shop'));
    await fleet.push(source, config(1));
    const first = await fleet.rollout(source, 'completed');
    expect(first.counts).toMatchObject({ succeeded: 6, failed: 0 });
    expect([shelf.runs.get('gateway'), meter.taken.at(-1)?.document]).toEqual([{ n: 1 }, { n: 1 }]);
    const before = (await fleet.device('shop-0001')).desired.bundle;

    await fleet.push(source, config(2));
    // Reverted, if another canary had succeeded by then.
    const aborted = await eventually(
      'the rollout ends',
      async () => {
        const newest = await fleet.rolloutOf(source.id);
        return newest.id !== first.id && /^(?:aborted|reverted)$/.test(newest.state) ? newest : undefined;
      },
      60_000,
    );
    expect(aborted.end).toMatchObject({ code: 'error_budget' });
    // The error budget ends the wave: whether the other canaries had begun is a matter of time.
    expect(['a-meter', 'b-gateway', 'shop-0001']).toEqual(expect.arrayContaining(await fleet.touched(aborted.id)));
    await eventually('the canaries are back', async () =>
      (await fleet.devices(source)).every((device) => device.reported.bundle === before && device.desired.bundle === before),
    );
    await eventually('the platforms have the previous configuration', async () => {
      const isBack = JSON.stringify(meter.taken.at(-1)?.document) === '{"n":1}';
      return isBack && JSON.stringify(shelf.runs.get('gateway')) === '{"n":1}';
    });
    expect(meter.taken.map(({ document }) => JSON.stringify(document))).toContain('{"n":2}');
    expect((await fleet.why('shop-0004')).map(({ code }) => code)).toEqual(['rollout_aborted']);
  } finally {
    await meter.close();
    await broker.close();
  }
});
