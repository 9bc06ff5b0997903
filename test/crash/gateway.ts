import { z } from 'zod';
import { openHttpGateway } from '../../src/demo/vendors/http/server.ts';
import type { Device } from './device.ts';
import { GATEWAY } from './fleet.ts';
import type { openService } from './service.ts';

const Files = z.array(z.object({ path: z.string(), content: z.base64() }));

/**
 * A device behind a gateway, to which the service delivers step by step. Nobody cuts its power: the gateway is a machine of somebody else, so that only
 * the service, and its database, die in the middle of a delivery.
 */
export async function openGateway(service: Awaited<ReturnType<typeof openService>>, sourceId: string): Promise<Device> {
  const gateway = await openHttpGateway();
  const { settings, credentials } = gateway;
  const externalId = gateway.addDevice({ name: GATEWAY });
  await service.api('POST', '/integrations', { type: 'http', name: 'Gateway', settings, credentials, autoSync: false });
  await service.api('POST', '/devices', { id: GATEWAY, type: 'till', adapter: 'http', sourceId });
  await service.api('POST', '/integrations/http/assignments', { deviceId: GATEWAY, externalId });
  return {
    id: GATEWAY,
    root: '',
    start: () => {},
    kill: async () => {},
    cuts: () => 0,
    current: async () => {
      const runs = gateway.runs(externalId);
      if (runs === null) return null;
      return Object.fromEntries(Files.parse(runs).map(({ path, content }) => [path, Buffer.from(content, 'base64').toString('utf8')]));
    },
    backups: async () => 0,
    close: () => gateway.close(),
  };
}
