import { type MobivisorServer, startMobivisor } from '../../src/demo/vendors/mobivisor/server.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import type { Json } from '../../src/wire/text/json.ts';
import type { Subject } from './subject.ts';
import { conformance } from './suite.ts';

const subject: Subject<MobivisorServer> = {
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
};

conformance('Mobivisor', subject);

/**
 * The other side of what the facts leave open, but for two: the suite's walks have pages, and where a device's configuration is not shown nothing can be
 * put back. `test/integration/mobivisor*.test.ts` has those.
 */
conformance('Mobivisor with the other sides', {
  ...subject,
  start: () =>
    startMobivisor({
      sides: {
        ...{ list: 'bare', idKey: 'id', variables: 'replace', readsApps: false, app: 'wrapped' },
        ...{ answers: 'empty', errors: 'text' },
      },
    }),
});
