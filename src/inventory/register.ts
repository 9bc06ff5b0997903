import { hashToken, last4, mintToken } from '../crypto/tokens.ts';
import { usualFolder } from '../device/folders.ts';
import { foldersNamed } from '../device/folders-store.ts';
import { expireOlderKeys, insertDeviceKey } from '../device/store/keys.ts';
import { insertDevice, type NewDevice } from '../device/store.ts';
import { conflict, invalid } from '../errors.ts';
import type { Unit } from '../event/transact.ts';
import { haveTargets } from '../organization/store.ts';
import { convergeDevice } from '../rollout/converge.ts';
import { folderRulesOf } from '../source/store.ts';

/** How long the old keys still work after a rotation. */
const KEY_GRACE_SECONDS = 24 * 3600;

/** Ids that would collide with a path: `GET /devices/pending` returns a device's commands, and `GET /devices/counts` the counts of devices. */
export const RESERVED_IDS = new Set(['pending', 'counts']);

/**
 * Registers a device with its first key and makes it follow its source. @returns the key, which is shown once and stored as a hash
 * @throws Problem `device_exists`, `invalid_request`
 */
export async function registerDevice(unit: Unit, device: Omit<NewDevice, 'path'> & { path?: string | null | undefined }): Promise<string> {
  if (RESERVED_IDS.has(device.id))
    throw invalid(`Cannot register device "${device.id}": the API reserves this id`, [{ pointer: '/id', detail: 'is reserved' }]);
  await checkSite(unit, device.organizationId, device.siteId);
  // Called even with a given path, since it refuses a source that does not exist.
  const usual = await defaultPath(unit, device.organizationId, device.sourceId, device.id);
  const path = device.path ?? usual;
  if (!(await insertDevice(unit.tx, { ...device, path })))
    throw conflict('device_exists', `Cannot register device "${device.id}": a device of that id exists`);
  const apiKey = await mintKey(unit, device.organizationId, device.id);
  unit.emit({
    organizationId: device.organizationId,
    type: 'device.registered',
    subject: `device:${device.id}`,
    data: {
      name: device.name,
      type: device.type,
      sourceId: device.sourceId,
      path,
      syncStatus: 'unmanaged',
      connectivity: 'unknown',
      status: 'OFFLINE',
    },
  });
  if (device.following) await convergeDevice(unit, device);
  return apiKey;
}

/** Returns the folder of a device without a path. @throws Problem `invalid_request` for a source that does not exist */
export async function defaultPath(unit: Unit, organizationId: string, sourceId: string | null, deviceId: string): Promise<string | null> {
  if (sourceId === null) return null;
  const source = await folderRulesOf(unit.tx, organizationId, sourceId);
  if (source === undefined)
    throw invalid(`Cannot bind device "${deviceId}": no source "${sourceId}" exists`, [{ pointer: '/sourceId', detail: 'no such source' }]);
  if (source.layout === 'repo') return '';
  const namesakes = await foldersNamed(unit.tx, { organizationId, sourceId }, [deviceId]);
  return usualFolder(
    deviceId,
    namesakes.map(({ path }) => path).filter((path) => path === deviceId || path.endsWith(`/${deviceId}`)),
    source.patterns ?? [],
  );
}

/** @throws Problem `invalid_request` */
export async function checkSite(unit: Unit, organizationId: string, siteId: string | null): Promise<void> {
  if (siteId === null) return;
  const found = await haveTargets(unit.tx, organizationId, { siteId, sourceId: null });
  if (!found.site)
    throw invalid(`Cannot use site "${siteId}": no site of that id exists`, [{ pointer: '/siteId', detail: 'no such site' }]);
}

export async function mintKey(unit: Unit, organizationId: string, deviceId: string): Promise<string> {
  const apiKey = mintToken('device');
  await insertDeviceKey(unit.tx, organizationId, deviceId, { hash: hashToken(apiKey), last4: last4(apiKey) });
  return apiKey;
}

/** Adds a new key. The old ones work for another day. */
export async function rotateKey(unit: Unit, organizationId: string, deviceId: string): Promise<string> {
  await expireOlderKeys(unit.tx, organizationId, deviceId, KEY_GRACE_SECONDS);
  unit.emit({
    organizationId,
    type: 'device.key_rotated',
    subject: `device:${deviceId}`,
    data: { oldKeysExpireInSeconds: KEY_GRACE_SECONDS },
  });
  return mintKey(unit, organizationId, deviceId);
}
