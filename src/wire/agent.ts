import { z } from 'zod';
import { Digest } from './bundle.ts';
import { DEVICE_ID_RULE, LABEL_KEY_RULE, matching } from './names.ts';

/** Messages of the agent protocol, `/agent/v1`. Times are RFC 3339 UTC, ids are UUIDv7 unless said otherwise. */

export const DeviceId = z.string().regex(...matching(DEVICE_ID_RULE));
export const LabelKey = z.string().regex(...matching(LABEL_KEY_RULE));

/** Public Ed25519 key that the agent pins at enrolment, as a JWK. */
export const PublicKeyJwk = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), kid: z.string() });
export type PublicKeyJwk = z.infer<typeof PublicKeyJwk>;

/**
 * Header of every request of an agent: `<machine>.<start>`, hexadecimal. Two agents that use one device's key in turn are told apart by it. Agents of before
 * do not send it.
 */
export const INSTANCE_HEADER = 'x-agent-instance';
export const INSTANCE = /^[0-9a-f]{8,32}\.[0-9a-f]{8,32}$/;

/**
 * `POST /enroll`, with `Authorization: Bearer <enrolment token>`. 409 with Retry-After: a device of the id is registered; the agent asks again until an operator
 * lets it in.
 */
export const EnrollRequest = z.strictObject({
  deviceId: DeviceId,
  name: z.string().min(1).max(200).optional(),
  type: z.string().min(1).max(100).optional(),
  labels: z.record(LabelKey, z.string().max(253)).optional(),
  /** No hardware stands behind it: shown as such. */
  simulated: z.boolean().optional(),
});
export type EnrollRequest = z.infer<typeof EnrollRequest>;

export const EnrollResponse = z.object({
  deviceId: DeviceId,
  organizationId: z.string(),
  apiKey: z.string(),
  signingKeys: z.array(PublicKeyJwk),
});
export type EnrollResponse = z.infer<typeof EnrollResponse>;

/** `GET /keys`: the keys that may sign this device's desired state. Used when a device was registered by hand and pins at first contact. */
export const SigningKeysResponse = z.object({ organizationId: z.string(), signingKeys: z.array(PublicKeyJwk) });

export const AgentCommand = z.object({
  id: z.string(),
  type: z.string().max(64),
  payload: z.record(z.string(), z.unknown()),
  expiresAt: z.string(),
});
export type AgentCommand = z.infer<typeof AgentCommand>;

/** What an agent does about files that somebody changed by hand below `current`. */
export const DriftPolicy = z.enum(['heal', 'report']);
export type DriftPolicy = z.infer<typeof DriftPolicy>;

/** Relative to the address of `GET /desired` that the device used (RFC 3986), so that it holds behind any proxy; or a whole URL. */
const BundleUrl = z.string();

/**
 * `GET /desired` answers this as the payload of a compact JWS (`application/jose`, alg EdDSA, `kid` in the header, `typ`
 * `bellwether-desired+jwt`). The agent refuses it when the signature, device, organization or expiry is wrong, or when `sequence`
 * is below the highest that it ever accepted, or equal to it with another bundle. `inline=<bytes>` asks for the bundle's archive in the same answer where it
 * is no larger (`DESIRED_WITH_ARCHIVE`).
 */
export const DesiredState = z.object({
  deviceId: DeviceId,
  organizationId: z.string(),
  /** Grows with every change of what is desired; never goes back. */
  sequence: z.number().int().nonnegative(),
  issuedAt: z.string(),
  expiresAt: z.string(),
  /** The attempt that brings the device to the bundle; null when nothing is to be done or the bundle is already confirmed. */
  deploymentId: z.string().nullable(),
  /** null: nothing is desired yet; leave what runs alone. */
  bundle: z.object({ digest: Digest, size: z.number().int(), url: BundleUrl }).nullable(),
  /** Until when a device that is busy may put the attempt off, by `deferred`; null: it may not. */
  beginBefore: z.string().nullable().default(null),
  /** Set by an operator's retry: apply even if this bundle is quarantined on the device. */
  force: z.boolean().default(false),
  driftPolicy: DriftPolicy,
  commands: z.array(AgentCommand),
  pollAfterSeconds: z.number(),
  heartbeatSeconds: z.number(),
});
export type DesiredState = z.infer<typeof DesiredState>;

/** Bytes of an archive that devices take together with what is desired: they ask for `GET /desired?inline=<bytes>`. */
export const INLINE_BYTES = 16 * 1024;
/** Of an answer that is the signed state, a line feed and the archive of its bundle: a small one saves its device a request. */
export const DESIRED_WITH_ARCHIVE = 'application/vnd.bellwether.desired';

export function withArchive(jws: string, archive: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.concat([Buffer.from(`${jws}\n`), archive]);
}

/** The signed state of an answer, and what follows it: to be verified as if it had been downloaded. */
export function splitDesired(answer: Buffer): { jws: string; archive: Buffer | null } {
  const end = answer.indexOf('\n');
  if (end === -1) return { jws: answer.toString('latin1').trim(), archive: null };
  const archive = answer.subarray(end + 1);
  return { jws: answer.toString('latin1', 0, end).trim(), archive: archive.length === 0 ? null : archive };
}

/** How long a device keeps back what nobody waits for, ms: a quick one tells of all its steps in one request, a slow one within a second. */
export const REPORT_GATHER_MS = 1_000;

/** Steps that the device reports of a deployment, in their order; `failed` is followed by `rolled_back` once the last good state runs again. */
export const DeviceDeploymentState = z.enum(['delivering', 'applying', 'confirming', 'succeeded', 'failed', 'rolled_back']);
export type DeviceDeploymentState = z.infer<typeof DeviceDeploymentState>;

export const LogLevel = z.enum(['debug', 'info', 'warn', 'error']);

/** `id` makes a report idempotent: sending it twice has the effect of once. `at` is the device's clock. */
const reportBase = { id: z.uuid(), at: z.iso.datetime() };

export const Report = z.discriminatedUnion('kind', [
  z.strictObject({
    ...reportBase,
    kind: z.literal('deployment'),
    deploymentId: z.string(),
    state: DeviceDeploymentState,
    /** The bundle that `current` holds when this is written; null when there is none. */
    runningDigest: Digest.nullable(),
    /** For `failed`: a stable word, for example `health_check_failed`, `download_failed`, `quarantined`, `no_space`, `root_unusable`, `interrupted`, `confirm_timeout`. */
    code: z.string().max(64).optional(),
    detail: z.string().max(4000).optional(),
  }),
  /** "Not now": the device is busy and begins by itself at `until`, at `beginBefore` at the latest. */
  z.strictObject({
    ...reportBase,
    kind: z.literal('deferred'),
    deploymentId: z.string(),
    until: z.iso.datetime(),
    reason: z.string().max(500).optional(),
  }),
  z.strictObject({
    ...reportBase,
    kind: z.literal('log'),
    level: LogLevel,
    message: z.string().max(4000),
    deploymentId: z.string().optional(),
  }),
  z.strictObject({
    ...reportBase,
    kind: z.literal('heartbeat'),
    runningDigest: Digest.nullable(),
    /** Highest sequence that the agent accepted. */
    sequence: z.number().int().nonnegative(),
    agentVersion: z.string().max(64),
    quarantined: z.array(Digest).max(16).optional(),
  }),
  z.strictObject({ ...reportBase, kind: z.literal('telemetry'), metrics: z.record(z.string().max(64), z.number()) }),
  z.strictObject({
    ...reportBase,
    kind: z.literal('command'),
    commandId: z.string(),
    state: z.enum(['sent', 'completed', 'failed']),
    result: z.unknown().optional(),
  }),
  z.strictObject({
    ...reportBase,
    kind: z.literal('drift'),
    runningDigest: Digest.nullable(),
    /** Relative paths that differ from the bundle: changed, missing or (not in the bundle) added. */
    changed: z.array(z.string()).max(1000),
    healed: z.boolean(),
  }),
]);
export type Report = z.infer<typeof Report>;

/** Kinds of reports that nobody waits for. */
export const UNATTENDED: readonly Report['kind'][] = ['heartbeat', 'telemetry', 'log'];

/** `POST /reports`, oldest first. */
export const ReportsRequest = z.strictObject({ reports: z.array(Report).min(1).max(500) });
export type ReportsRequest = z.infer<typeof ReportsRequest>;

/**
 * Answer to `POST /reports`. `confirmed` lists the deployments whose `confirming` report was in the batch and which the server still
 * wants: the agent makes them permanent. One that is missing there was superseded or cancelled: the agent keeps the files (they are healthy)
 * and goes on with what is desired next.
 */
export const ReportsResponse = z.object({ accepted: z.number().int(), confirmed: z.array(z.string()) });
export type ReportsResponse = z.infer<typeof ReportsResponse>;

export const TimeResponse = z.object({ now: z.string() });

export const Labels = z.record(LabelKey, z.string().max(253));
export type Labels = z.infer<typeof Labels>;
