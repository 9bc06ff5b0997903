import { openGolioth } from '../../src/demo/vendors/golioth/server.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import { conformance } from './suite.ts';

conformance('Golioth', {
  provider: BUILT_IN.of('golioth'),
  start: async () => {
    const server = await openGolioth();
    server.addSetting('LED', 'boolean', false);
    server.addSetting('LOOP_DELAY_S', 'integer', 60);
    server.addSetting('GREETING', 'string', 'hello');
    server.addCohort('stable');
    server.addCohort('next');
    return server;
  },
  devices: 250,
  listPath: /\/devices$/,
  created: { tags: ['tills'] },
  update: { field: 'enabled', value: false },
  push: {
    first: { settings: { LED: true, GREETING: 'good day' }, state: { lanes: 3, theme: { dark: true } }, cohort: 'stable' },
    second: { settings: { LED: false, LOOP_DELAY_S: 10 }, state: { lanes: 4 }, cohort: 'next' },
    invalid: { settings: { LED: 'on', LOOP_DELAY_S: 2 ** 31, MISSING: 1 } },
    key: 'LED',
    held: ({ device, project }, id) => {
      const { tree, cohortId = null } = device(id);
      const own = project.settings.filter(({ deviceId }) => deviceId === id);
      const settings = own.map(({ key, dataType, value }) => ({ key, dataType, value })).sort((a, b) => (a.key < b.key ? -1 : 1));
      return { settings, desired: tree.desired ?? null, cohortId };
    },
  },
  command: { type: 'ping', payload: {} },
  hook: (externalId, secret) => ({
    headers: new Headers({
      'ce-source': externalId,
      'ce-type': 'io.golioth.data.v1/.s/temperature',
      'content-type': 'application/json',
      ...(secret === undefined ? {} : { 'x-bellwether-secret': secret }),
    }),
    rawBody: Buffer.from('{"temperature":21.5}'),
  }),
  plant: ({ device, addSetting }, id) => {
    device(id).tree = { reported: { wifi: { password: 'planted-wifi-password' } } };
    addSetting('WIFI_PASSWORD', 'string', 'planted-setting');
    return ['planted-wifi-password', 'planted-setting'];
  },
});
