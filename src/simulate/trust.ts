import { text } from 'node:stream/consumers';
import { type CryptoKey, compactVerify, importJWK } from 'jose';
import { LRUCache } from 'lru-cache';
import { messageOf, Problem } from '../errors.ts';
import { DesiredState, type PublicKeyJwk } from '../wire/agent.ts';
import { extractArchive } from '../wire/archive.ts';
import type { Behaviour, Content } from './behaviour.ts';

const TYPE = 'bellwether-desired+jwt';
/** Largest archive that a simulated device accepts, bytes. */
const MAX_ARCHIVE_BYTES = 64 * 1024 * 1024;
/** Size of the cache of verified archives, bytes. */
const REMEMBERED_BYTES = 64 * 1024 * 1024;

export type Pinned = { organizationId: string; signingKeys: PublicKeyJwk[] };

/** A completely read bundle that matches its digest. */
export type Bundle = { digest: string; content: Content; confirmTimeoutMs: number };

/**
 * Verifies desired states and archives for all devices. It imports each signing key once, and reads an archive with the same bytes once. It
 * verifies every signature.
 */
export type Trust = {
  /** @throws Problem `desired_refused` */
  desired(jws: string, device: Pinned & { deviceId: string; sequence: number; now: Date }): Promise<DesiredState>;
  /** @throws WireError when the bytes are not the bundle `digest` */
  archive(digest: string, bytes: Buffer): Promise<Bundle>;
};

type Wanted = Pick<Behaviour, 'failWhen' | 'driftWhen'>;

/** `wanted`: patterns for the files of a bundle. */
export function createTrust(wanted: Wanted = { failWhen: null, driftWhen: null }): Trust {
  const keys = new LRUCache<string, Promise<CryptoKey | Uint8Array>>({ max: 1_000 });
  const archives = new LRUCache<string, { bytes: Buffer; bundle: Bundle }>({
    maxSize: REMEMBERED_BYTES,
    sizeCalculation: ({ bytes }) => bytes.length + 1,
  });
  const keyOf = ({ kty, crv, x }: PublicKeyJwk): Promise<CryptoKey | Uint8Array> => {
    const imported = keys.get(x) ?? importJWK({ kty, crv, x }, 'EdDSA');
    keys.set(x, imported);
    return imported;
  };
  return {
    desired: async (jws, device) => {
      const desired = await read(jws, (kid) => pinnedKey(device.signingKeys, kid), keyOf);
      const fault = faultOf(desired, device);
      if (fault !== null) throw refused(fault);
      return desired;
    },
    archive: async (digest, bytes) => {
      const known = archives.get(digest);
      if (known?.bytes.equals(bytes)) return known.bundle;
      const bundle = await readBundle(digest, bytes, wanted);
      archives.set(digest, { bytes, bundle });
      return bundle;
    },
  };
}

async function readBundle(digest: string, bytes: Buffer, { failWhen, driftWhen }: Wanted): Promise<Bundle> {
  const content = { fails: false, drifts: false };
  const { apply } = await extractArchive(once(bytes), {
    digest,
    maxBytes: MAX_ARCHIVE_BYTES,
    writeFile: async (_file, chunks) => {
      if (failWhen === null && driftWhen === null) return;
      const file = await text(chunks);
      content.fails ||= failWhen !== null && file.search(failWhen) >= 0;
      content.drifts ||= driftWhen !== null && file.search(driftWhen) >= 0;
    },
  });
  return { digest, content, confirmTimeoutMs: apply.confirmTimeoutSeconds * 1000 };
}

async function read(
  jws: string,
  pinned: (kid: string | undefined) => PublicKeyJwk,
  keyOf: (key: PublicKeyJwk) => Promise<CryptoKey | Uint8Array>,
): Promise<DesiredState> {
  try {
    const { payload, protectedHeader } = await compactVerify(jws, (header) => keyOf(pinned(header.kid)), { algorithms: ['EdDSA'] });
    if (protectedHeader.typ !== TYPE) throw new Error(`its type is "${protectedHeader.typ ?? ''}", must be "${TYPE}"`);
    return DesiredState.parse(JSON.parse(Buffer.from(payload).toString('utf8')));
  } catch (cause) {
    throw refused(messageOf(cause), cause);
  }
}

function pinnedKey(keys: readonly PublicKeyJwk[], kid: string | undefined): PublicKeyJwk {
  const key = keys.find((candidate) => candidate.kid === kid);
  if (key === undefined) throw new Error(`the key "${kid ?? ''}" is not pinned`);
  return key;
}

function faultOf(desired: DesiredState, device: Pinned & { deviceId: string; sequence: number; now: Date }): string | null {
  if (desired.deviceId !== device.deviceId || desired.organizationId !== device.organizationId) return `it is for "${desired.deviceId}"`;
  if (!(Date.parse(desired.expiresAt) > device.now.getTime())) return `it expired at ${desired.expiresAt}`;
  if (desired.sequence < device.sequence) return `its sequence is ${desired.sequence}, at least ${device.sequence} is required`;
  return null;
}

function refused(why: string, cause?: unknown): Problem {
  return new Problem('desired_refused', `Cannot accept the desired state: ${why}`, { cause });
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
