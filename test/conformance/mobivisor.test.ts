import { type MobivisorServer, startMobivisor } from '../../src/demo/vendors/mobivisor/server.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import type { Json } from '../../src/wire/text/json.ts';
import { conformance } from './suite.ts';

conformance<MobivisorServer>('Mobivisor', {
  provider: BUILT_IN.of('mobivisor'),
  start: () => startMobivisor(),
  devices: 250,
  listPath: /^\/devices$/,
  update: { field: 'description', value: 'near the door' },
  push: {
    first: { featureControls: [{ feature: 'camera', value: true }], extraVariables: { store: '16' } },
    second: { featureControls: [{ feature: 'camera', value: false }], extraVariables: { store: '17' } },
    invalid: { featureControls: [{ feature: 'camera', value: 'off' }] },
    key: 'camera',
    held: (server, id) => server.device(id).wanted as Json,
  },
  command: { type: 'status_request', payload: {} },
  plant: (server, id) => {
    server.change(id, { kioskExitPassword: 'planted-kiosk-password' });
    return ['planted-kiosk-password'];
  },
});
