import type { MiddlewareHandler } from 'hono';
import { batched } from '../db/batched.ts';
import type { Sql } from '../db/connect.ts';
import { devicesOfKeys } from '../device/keys.ts';
import { Problem } from '../errors.ts';
import type { Actor } from '../organization/organization.ts';
import { actorOfToken } from '../organization/store.ts';
import { hashToken } from '../tokens.ts';
import type { Env } from './api.ts';
import { addressOf, type RateLimits } from './rate-limit.ts';

/** Channel on which every process hears that a device key stopped working. */
export const KEYS_CHANNEL = 'bellwether_keys';

const MAX_SECRET_LENGTH = 200;
/** A device key that was found is looked up again after this long at the latest: those that were used, together. */
const REMEMBER_KEYS_MS = 60_000;
const KEYS_AT_ONCE = 200;

export async function actorOf(sql: Sql, token: string | undefined): Promise<Actor | undefined> {
  if (token === undefined || token === '' || token.length > MAX_SECRET_LENGTH) return undefined;
  return actorOfToken(sql, hashToken(token));
}

/** The token of `Authorization: Bearer <token>`. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

/** Demands `Authorization: Bearer <token>`. */
export function requireActor(sql: Sql, limits: RateLimits, trustProxy: boolean): MiddlewareHandler<Env> {
  return async (c, next) => {
    const address = addressOf(c, trustProxy);
    limits.refusal.check(address);
    const actor = await actorOf(sql, bearerOf(c.req.header('authorization')));
    if (actor === undefined) {
      limits.refusal.take(address);
      throw new Problem('unauthorized', 'Cannot authenticate: send a valid token as "Authorization: Bearer <token>"', { status: 401 });
    }
    limits.token.take(actor.tokenId);
    c.set('actor', actor);
    await next();
  };
}

type DeviceIdentity = { organizationId: string; deviceId: string };

export type DeviceAuth = {
  require: MiddlewareHandler<Env>;
  identify(deviceId: string | undefined, apiKey: string | undefined): Promise<DeviceIdentity | undefined>;
  close(): Promise<void>;
};

/**
 * Demands `X-Device-ID` and `X-API-Key`. Keys are looked up by their SHA-256, which tells nothing about other keys by its timing; found ones are
 * looked up again every minute, and forgotten at once when any key is rotated or a device deleted.
 */
export async function openDeviceAuth(sql: Sql, listenSql: Sql, limits: RateLimits, trustProxy: boolean): Promise<DeviceAuth> {
  // As many as there are devices that ask: only keys that were found are in it.
  const known = new Map<string, DeviceIdentity>();
  /** Of keys that were sent since all were looked up last. */
  let used = new Set<string>();
  let forgotten = 0;
  const forget = () => {
    forgotten += 1;
    known.clear();
  };
  const listener = await listenSql.listen(KEYS_CHANNEL, forget, forget);
  const deviceOfKey = batched(KEYS_AT_ONCE, (hashes: readonly Buffer[]) => devicesOfKeys(sql, hashes));
  const lookUp = async (hash: Buffer, name: string): Promise<DeviceIdentity | undefined> => {
    const before = forgotten;
    const identity = await deviceOfKey(hash);
    if (identity === undefined) known.delete(name);
    // What was read before keys changed may be wrong by now.
    else if (before === forgotten) known.set(name, identity);
    return identity;
  };
  const lookAgain = () => {
    for (const name of known.keys()) if (!used.has(name)) known.delete(name);
    used = new Set();
    for (const name of known.keys()) lookUp(Buffer.from(name, 'base64'), name).catch(() => known.delete(name));
  };
  const looking = setInterval(lookAgain, REMEMBER_KEYS_MS);
  const identify = async (deviceId: string | undefined, apiKey: string | undefined) => {
    if (deviceId === undefined || apiKey === undefined || apiKey.length > MAX_SECRET_LENGTH) return undefined;
    const hash = hashToken(apiKey);
    const name = hash.toString('base64');
    const identity = known.get(name) ?? (await lookUp(hash, name));
    if (identity !== undefined) used.add(name);
    return identity?.deviceId === deviceId ? identity : undefined;
  };
  return {
    identify,
    require: async (c, next) => {
      const address = addressOf(c, trustProxy);
      limits.refusal.check(address);
      const identity = await identify(c.req.header('x-device-id'), c.req.header('x-api-key'));
      if (identity === undefined) {
        limits.refusal.take(address);
        throw new Problem('unauthorized', 'Cannot authenticate the device: X-Device-ID and X-API-Key do not belong together', {
          status: 401,
        });
      }
      limits.device.take(`${identity.organizationId} ${identity.deviceId}`);
      c.set('device', identity);
      await next();
    },
    close: async () => {
      clearInterval(looking);
      await listener.unlisten();
    },
  };
}
