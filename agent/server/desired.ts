import { compactVerify } from 'jose/jws/compact/verify';
import { importJWK } from 'jose/key/import';
import { DesiredState, type PublicKeyJwk } from '../../src/wire/agent.ts';
import type { ErrorCode } from '../../src/wire/errors.ts';
import { messageOf, Problem } from '../../src/wire/problem.ts';

const TYPE = 'bellwether-desired+jwt';

export type Expectation = {
  deviceId: string;
  organizationId: string;
  signingKeys: PublicKeyJwk[];
  /** Highest sequence ever accepted and its bundle; -1 before the first. */
  sequence: number;
  sequenceDigest: string | null;
  /** Time of issue of the last state that changed anything. */
  issuedAt: string | null;
  now: Date;
};

/** Largest clock difference between servers of one service, ms. */
const TOLERATED_SKEW_MS = 60_000;

/**
 * Verifies a compact JWS and returns its desired state. An attacker who controls the network or the server's database, but not its signing
 * key, cannot pass this check.
 * @throws Problem `desired_forged`, `desired_invalid`, `desired_foreign`, `desired_expired`, `desired_replayed`
 */
export async function verifyDesired(jws: string, expected: Expectation): Promise<DesiredState> {
  const payload = await verifiedPayload(jws, expected.signingKeys);
  const parsed = DesiredState.safeParse(payload);
  if (!parsed.success) throw refused('desired_invalid', `it is not a desired state: ${parsed.error.issues[0]?.message ?? ''}`);
  const desired = parsed.data;
  if (desired.deviceId !== expected.deviceId || desired.organizationId !== expected.organizationId) {
    throw refused(
      'desired_foreign',
      `it is for "${desired.organizationId}/${desired.deviceId}", not for "${expected.organizationId}/${expected.deviceId}"`,
    );
  }
  const expiresAt = Date.parse(desired.expiresAt);
  if (!(expiresAt > expected.now.getTime()))
    throw refused('desired_expired', `it expired at ${desired.expiresAt}, now is ${expected.now.toISOString()}`);
  refuseOlder(desired, expected);
  return desired;
}

function refuseOlder(desired: DesiredState, expected: Expectation): void {
  const { sequence, sequenceDigest, issuedAt } = expected;
  if (desired.sequence < sequence)
    throw refused('desired_replayed', `its sequence is ${desired.sequence}, at least ${sequence} is required`);
  if (desired.sequence === sequence && (desired.bundle?.digest ?? null) !== sequenceDigest) {
    throw refused('desired_replayed', `its sequence ${desired.sequence} was accepted with another bundle`);
  }
  // Some changes keep the sequence, such as the drift policy, and a new key starts it anew. The time of issue stops a replay of those.
  const isTimeToJudge = desired.sequence === sequence || sequence < 0;
  if (isTimeToJudge && issuedAt !== null && Date.parse(desired.issuedAt) < Date.parse(issuedAt) - TOLERATED_SKEW_MS)
    throw refused('desired_replayed', `it was issued at ${desired.issuedAt}, before the accepted one of ${issuedAt}`);
}

async function verifiedPayload(jws: string, keys: PublicKeyJwk[]): Promise<unknown> {
  try {
    const { payload, protectedHeader } = await compactVerify(
      jws,
      (header) => {
        const key = keys.find(({ kid }) => kid === header.kid);
        if (key === undefined) throw new Error(`the key "${header.kid ?? ''}" is not pinned`);
        return importJWK({ kty: key.kty, crv: key.crv, x: key.x }, 'EdDSA');
      },
      { algorithms: ['EdDSA'] },
    );
    if (protectedHeader.typ !== TYPE) throw new Error(`its type is "${protectedHeader.typ ?? ''}", must be "${TYPE}"`);
    return JSON.parse(new TextDecoder().decode(payload));
  } catch (cause) {
    throw refused('desired_forged', messageOf(cause), cause);
  }
}

function refused(code: Extract<ErrorCode, `desired_${string}`>, why: string, cause?: unknown): Problem {
  return new Problem(code, `Cannot accept the desired state: ${why}`, { cause });
}
