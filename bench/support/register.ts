import { hashToken, last4, mintToken } from '../../src/crypto/tokens.ts';
import { insertDeviceKey } from '../../src/device/store/keys.ts';
import { insertDevice } from '../../src/device/store.ts';
import type { DeviceKey } from '../../src/simulate/device.ts';
import type { Stack } from './stack.ts';

/** Inserts devices into the database. Their registration over the API would take longer than the whole benchmark. */
export async function registerDevices({ sql }: Stack, sourceId: string, count: number): Promise<DeviceKey[]> {
  const [row] = await sql<[{ organizationId: string }]>`select organization_id as "organizationId" from sources where id = ${sourceId}`;
  const { organizationId } = row;
  const keys = Array.from({ length: count }, (_, index) => ({
    id: `d-${String(index + 1).padStart(6, '0')}`,
    apiKey: mintToken('device'),
  }));
  const fixed = { organizationId, type: 'bench', labels: {}, siteId: null, adapter: 'agent', simulated: true, sourceId, following: true };
  await sql.begin(async (tx) => {
    // The statements do not wait for each other's answers; the connection keeps their order.
    const sent = keys.flatMap(({ id, apiKey }) => [
      insertDevice(tx, { ...fixed, id, name: id, path: `devices/${id}` }),
      insertDeviceKey(tx, organizationId, id, { hash: hashToken(apiKey), last4: last4(apiKey) }),
    ]);
    await Promise.all(sent);
  });
  await sql`analyze devices`;
  return keys;
}
