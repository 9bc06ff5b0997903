import { afterEach } from 'vitest';
import { type MobivisorServer, startMobivisor } from '../../src/demo/vendors/mobivisor/server.ts';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { vendorConnector } from '../../src/integration/api.ts';
import type { Platform, PushTarget } from '../../src/integration/provider.ts';
import { BUILT_IN } from '../../src/integration/registry.ts';
import type { Json } from '../../src/wire/text/json.ts';

export const signal = new AbortController().signal;
const opened: MobivisorServer[] = [];
afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
});

export type Sides = NonNullable<Parameters<typeof startMobivisor>[0]>['sides'];

export async function open(sides: Sides = {}, settings: Record<string, Json> = {}) {
  const server = await startMobivisor({ sides });
  opened.push(server);
  return { server, platform: platformOf(server, settings) };
}

export function platformOf(
  server: MobivisorServer,
  settings: Record<string, Json> = {},
): Required<Omit<Platform, 'create' | 'hook' | 'close'>> {
  return BUILT_IN.of('mobivisor').open({
    settings: { ...server.settings, ...settings },
    credentials: server.credentials,
    connect: vendorConnector({ guard: addressGuard({ allowPrivate: true }), isolate: (work) => work() }),
  }) as Required<Omit<Platform, 'create' | 'hook' | 'close'>>;
}

export const targetOf = (externalId: string): PushTarget => ({ organizationId: 'o', deviceId: 'd', externalId });
export const sent = (server: MobivisorServer, method: string, path: RegExp) =>
  server.requests.filter((request) => request.method === method && path.test(request.path));
