import type { SecretBox } from '../crypto/secret-box.ts';
import type { PreparedPush } from '../integration/provider.ts';
import type { KeptPush, PushKey } from './pushes-store.ts';

/** Configuration of devices may hold secrets, so that a push keeps it sealed. `SEALED_PUSHES` has the same context. */
const contextOf = ({ deploymentId }: Pick<PushKey, 'deploymentId'>) => `push:${deploymentId}:prepared`;

export function sealPrepared(box: SecretBox, key: PushKey, prepared: PreparedPush): string {
  return box.seal(JSON.stringify(prepared), contextOf(key));
}

/** @throws Problem `secret_unreadable` */
export function openPrepared(box: SecretBox, key: PushKey, { prepared, preparedSealed }: KeptPush): PreparedPush {
  if (preparedSealed !== null) return JSON.parse(box.open(preparedSealed, contextOf(key)));
  // An earlier version of the service began it.
  if (prepared !== null) return prepared;
  throw new Error(`push of deployment ${key.deploymentId} is under way and has no prepared configuration`);
}
