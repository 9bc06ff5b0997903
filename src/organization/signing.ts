import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import type { SecretBox } from '../crypto/secret-box.ts';
import type { Sql } from '../db/connect.ts';
import { PublicKeyJwk } from '../wire/agent.ts';
import { sha256Hex } from '../wire/bundle.ts';
import { insertFirstSigningKey, signingKeyOf } from './signing-store.ts';

/** Signs the desired state of devices with one key per organization. The private key is sealed in the database. */
export type Signer = {
  /** Compact JWS, EdDSA, typ `bellwether-desired+jwt`. */
  sign(organizationId: string, payload: unknown): Promise<string>;
  publicKeys(organizationId: string): Promise<PublicKeyJwk[]>;
};

type SigningKey = { kid: string; key: CryptoKey; publicJwk: PublicKeyJwk };

export const DESIRED_TYP = 'bellwether-desired+jwt';

export function createSigner(sql: Sql, box: SecretBox): Signer {
  const keys = new Map<string, Promise<SigningKey>>();
  const keyOf = (organizationId: string) => {
    const known = keys.get(organizationId);
    if (known !== undefined) return known;
    const loading = ensureKey(sql, box, organizationId);
    loading.catch(() => keys.delete(organizationId));
    keys.set(organizationId, loading);
    return loading;
  };
  return {
    sign: async (organizationId, payload) => {
      const { kid, key } = await keyOf(organizationId);
      const bytes = new TextEncoder().encode(JSON.stringify(payload));
      return new CompactSign(bytes).setProtectedHeader({ alg: 'EdDSA', kid, typ: DESIRED_TYP }).sign(key);
    },
    publicKeys: async (organizationId) => [(await keyOf(organizationId)).publicJwk],
  };
}

async function ensureKey(sql: Sql, box: SecretBox, organizationId: string): Promise<SigningKey> {
  const stored = await storedKey(sql, box, organizationId);
  if (stored !== undefined) return stored;
  const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const jwk = await exportJWK(pair.publicKey);
  const kid = sha256Hex(String(jwk.x)).slice(0, 16);
  const privateSealed = box.seal(JSON.stringify(await exportJWK(pair.privateKey)), `signing-key:${organizationId}:${kid}`);
  const publicJwk = PublicKeyJwk.parse({ kty: 'OKP', crv: 'Ed25519', x: String(jwk.x), kid });
  await insertFirstSigningKey(sql, organizationId, { kid, publicJwk, privateSealed });
  const key = await storedKey(sql, box, organizationId);
  if (key === undefined) throw new Error('the signing key vanished');
  return key;
}

async function storedKey(sql: Sql, box: SecretBox, organizationId: string): Promise<SigningKey | undefined> {
  const row = await signingKeyOf(sql, organizationId);
  if (row === undefined) return undefined;
  const jwk: JWK = JSON.parse(box.open(row.privateSealed, `signing-key:${organizationId}:${row.kid}`));
  const key = await importJWK(jwk, 'EdDSA');
  if (key instanceof Uint8Array) throw new Error('not an Ed25519 key');
  return { kid: row.kid, key, publicJwk: PublicKeyJwk.parse(row.publicJwk) };
}
