import { Badge } from '@radix-ui/themes';
import type { Device } from '../../generated/api.ts';

const ADAPTERS: Record<string, string> = {
  agent: 'Local',
  golioth: 'Golioth',
  mobivisor: 'Mobivisor',
  mqtt: 'MQTT',
  http: 'HTTP',
  rest: 'REST',
};

/** Where a device is managed: by an agent of ours, on a platform, or simulated. */
export function KindBadge({
  device: { adapter, simulated, archivedAt },
}: {
  device: Pick<Device, 'adapter' | 'simulated' | 'archivedAt'>;
}) {
  return (
    <>
      <Badge color="gray" variant={adapter === 'agent' ? 'outline' : 'soft'}>
        {simulated ? 'Simulated' : (ADAPTERS[adapter] ?? adapter)}
      </Badge>
      {archivedAt !== null && <Badge color="amber">Archived</Badge>}
    </>
  );
}
