import { createHmac } from 'node:crypto';
import { openRestPlatform, PAGING_STYLES } from '../../src/demo/vendors/rest/server.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import { conformance } from './suite.ts';

for (const paging of PAGING_STYLES.filter((style) => style !== 'none'))
  conformance(`a REST platform with paging by ${paging}`, {
    provider: BUILT_IN.of('rest'),
    start: () => openRestPlatform({ paging }),
    devices: 120,
    listPath: /\/devices$/,
    created: { labels: ['tills'] },
    update: { field: 'labels', value: ['front'] },
    push: {
      first: { lanes: 3, theme: { dark: true } },
      second: { lanes: 4 },
      invalid: { invalid: true },
      key: 'lanes',
      held: ({ configOf }, id) => configOf(id),
    },
    command: { type: 'ping', payload: {} },
    hook: (externalId, secret) => {
      const body = JSON.stringify({ devices: [{ id: externalId }] });
      const signature = secret === undefined ? undefined : `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
      return { headers: new Headers(signature === undefined ? {} : { 'x-signature': signature }), rawBody: Buffer.from(body) };
    },
  });
