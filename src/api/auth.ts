import type { MiddlewareHandler } from 'hono';
import { batched } from '../async/batch.ts';
import { hashToken } from '../crypto/tokens.ts';
import type { Sql } from '../db/connect.ts';
import type { Notifier } from '../db/notifier.ts';
import { devicesOfKeys, KEYS_CHANNEL } from '../device/store/keys.ts';
import { senderOf } from '../http/address.ts';
import { unauthorized } from '../http/bearer.ts';
import { OURSELVES, type RateLimits, refuse } from '../http/rate-limit.ts';
import { MAX_TOKEN_CHARACTERS } from '../wire/names.ts';
import type { Env } from './env.ts';

/** A known device key is verified again after this time, together with all others that were used. */
const REMEMBER_KEYS_MS = 60_000;
const KEYS_AT_ONCE = 200;

/** Looks up many keys in one query. Keys of senders beyond their failures have queries of their own. */
export function inTwoQueues<Key, Answer>(
  limits: RateLimits,
  answer: (keys: readonly Key[]) => Promise<readonly Answer[]>,
): (sender: string, key: Key) => Promise<Answer> {
  const [usual, suspect] = [batched(KEYS_AT_ONCE, answer), batched(KEYS_AT_ONCE, answer)];
  return (sender, key) => (limits.refusal.isExhausted(sender) ? suspect(key) : usual(key));
}

type DeviceIdentity = { organizationId: string; deviceId: string };

export type DeviceAuth = {
  require: MiddlewareHandler<Env>;
  identify(deviceId: string | undefined, apiKey: string | undefined, sender: string): Promise<DeviceIdentity | undefined>;
  close(): Promise<void>;
};

/**
 * Requires `X-Device-ID` and `X-API-Key`. Keys are looked up by their SHA-256, whose timing reveals nothing about other keys. Known keys are verified
 * again every minute, and forgotten when any key is rotated or a device is deleted. Valid keys always pass, as valid tokens do.
 */
export async function openDeviceAuth(sql: Sql, notifier: Notifier, limits: RateLimits, trustProxy: boolean): Promise<DeviceAuth> {
  // At most one per device: only valid keys are in it.
  const known = new Map<string, DeviceIdentity>();
  /** Keys that were sent since the last verification of all. */
  let used = new Set<string>();
  let forgotten = 0;
  const forget = () => {
    forgotten += 1;
    known.clear();
  };
  const unsubscribe = await notifier.subscribe(KEYS_CHANNEL, { onNotify: forget, onMissed: forget });
  const deviceOfKey = inTwoQueues(limits, (hashes: readonly Buffer[]) => devicesOfKeys(sql, hashes));
  const lookUp = async (hash: Buffer, name: string, sender: string): Promise<DeviceIdentity | undefined> => {
    const before = forgotten;
    const identity = await deviceOfKey(sender, hash);
    if (identity === undefined) known.delete(name);
    // An answer from before a change of keys may be wrong now.
    else if (before === forgotten) known.set(name, identity);
    return identity;
  };
  const verifyAgain = () => {
    for (const name of known.keys()) if (!used.has(name)) known.delete(name);
    used = new Set();
    for (const name of known.keys()) {
      // A key never moves to another device, so that an answer only removes it. A late answer restores none.
      deviceOfKey(OURSELVES, Buffer.from(name, 'base64')).then(
        (identity) => identity === undefined && known.delete(name),
        () => known.delete(name),
      );
    }
  };
  const verifying = setInterval(verifyAgain, REMEMBER_KEYS_MS);
  const identify = async (deviceId: string | undefined, apiKey: string | undefined, sender: string) => {
    if (deviceId === undefined || apiKey === undefined || apiKey.length > MAX_TOKEN_CHARACTERS) return undefined;
    const hash = hashToken(apiKey);
    const name = hash.toString('base64');
    const identity = known.get(name) ?? (await lookUp(hash, name, sender));
    if (identity !== undefined) used.add(name);
    return identity?.deviceId === deviceId ? identity : undefined;
  };
  return {
    identify,
    require: async (c, next) => {
      const sender = senderOf(c, trustProxy);
      const identity = await identify(c.req.header('x-device-id'), c.req.header('x-api-key'), sender);
      if (identity === undefined) refuse(limits, sender, unauthorized('X-Device-ID and X-API-Key must be those of one device'));
      limits.device.take(`${identity.organizationId} ${identity.deviceId}`);
      c.set('device', identity);
      await next();
    },
    close: async () => {
      clearInterval(verifying);
      unsubscribe();
    },
  };
}
