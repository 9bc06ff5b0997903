import { openHttpGateway } from '../../src/demo/vendors/http/server.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import { conformance } from './suite.ts';

conformance('a gateway with signed HTTP', {
  provider: BUILT_IN.of('http'),
  start: () => openHttpGateway(),
  devices: 3,
  push: {
    first: { lanes: 3, theme: { dark: true } },
    second: { lanes: 4 },
    invalid: { invalid: true },
    key: 'lanes',
    held: ({ runs }, id) => runs(id),
  },
});
