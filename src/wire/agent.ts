import { z } from 'zod';
import { Digest } from './bundle.ts';
import { DEVICE_ID_RULE, LABEL_KEY_RULE, matching } from './names.ts';

/** Messages of the agent protocol, `/agent/v1`. Times are RFC 3339 UTC, ids are UUIDv7 unless noted otherwise. */

export const DeviceId = z.string().regex(...matching(DEVICE_ID_RULE));
export const LabelKey = z.string().regex(...matching(LABEL_KEY_RULE));

/** Public Ed25519 key that the agent pins at enrolment, as a JWK. */
export const PublicKeyJwk = z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), kid: z.string() });
export type PublicKeyJwk = z.infer<typeof PublicKeyJwk>;

/**
 * Header of every request of an agent: `<machine>.<start>`, hexadecimal. It distinguishes two agents that use one device's key in turn. Older agents
 * do not send it.
 */
export const INSTANCE_HEADER = 'x-agent-instance';
export const INSTANCE = /^[0-9a-f]{8,32}\.[0-9a-f]{8,32}$/;

/**
 * `POST /enroll`, with `Authorization: Bearer <enrolment token>`. 409 with Retry-After: a device with this id is registered. The agent repeats the request
 * until an operator admits it.
 */
export const EnrollRequest = z.strictObject({
  deviceId: DeviceId,
  name: z.string().min(1).max(200).optional(),
  type: z.string().min(1).max(100).optional(),
  labels: z.record(LabelKey, z.string().max(253)).optional(),
  /** The device has no hardware. Clients show it as simulated. */
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

/** `GET /keys`: the keys that may sign this device's desired state. A device that was registered by hand pins them at its first contact. */
export const SigningKeysResponse = z.object({ organizationId: z.string(), signingKeys: z.array(PublicKeyJwk) });

export const AgentCommand = z.object({
  id: z.string(),
  type: z.string().max(64),
  payload: z.record(z.string(), z.unknown()),
  expiresAt: z.string(),
});
export type AgentCommand = z.infer<typeof AgentCommand>;

/** An agent restores files that somebody changed by hand below `current`, or only reports them. */
export const DriftPolicy = z.enum(['heal', 'report']);
export type DriftPolicy = z.infer<typeof DriftPolicy>;

/** An absolute URL, or one relative to the address of `GET /desired` that the device used (RFC 3986), so that it works behind any proxy. */
const BundleUrl = z.string();

/**
 * `GET /desired` answers this as the payload of a compact JWS (`application/jose`, alg EdDSA, `kid` in the header, `typ`
 * `bellwether-desired+jwt`). The agent refuses it when the signature, device, organization or expiry is wrong. It also refuses a `sequence` that
 * is below the highest one it accepted, or equal to it with another bundle. `inline=<bytes>` asks for the bundle's archive in the same answer,
 * if the archive is no larger (`DESIRED_WITH_ARCHIVE`).
 */
export const DesiredState = z.object({
  deviceId: DeviceId,
  organizationId: z.string(),
  /** Increases with every change of the desired state and never decreases. */
  sequence: z.number().int().nonnegative(),
  issuedAt: z.string(),
  expiresAt: z.string(),
  /** The attempt that deploys the bundle; null when the device needs no deployment or already confirmed the bundle. */
  deploymentId: z.string().nullable(),
  /** null: the service desires nothing yet, and the device keeps its files. */
  bundle: z.object({ digest: Digest, size: z.number().int(), url: BundleUrl }).nullable(),
  /** A busy device may defer the attempt until then, by a `deferred` report; null: it may not. */
  beginBefore: z.string().nullable().default(null),
  /** Set by an operator's retry: apply even if this bundle is quarantined on the device. */
  force: z.boolean().default(false),
  driftPolicy: DriftPolicy,
  commands: z.array(AgentCommand),
  pollAfterSeconds: z.number(),
  heartbeatSeconds: z.number(),
});
export type DesiredState = z.infer<typeof DesiredState>;

/** Largest archive that devices accept inside the answer with the desired state, bytes: they ask for `GET /desired?inline=<bytes>`. */
export const INLINE_BYTES = 16 * 1024;
/** Media type of an answer with the signed state, a line feed and the bundle's archive. It saves the device a request for a small bundle. */
export const DESIRED_WITH_ARCHIVE = 'application/vnd.bellwether.desired';

export function withArchive(jws: string, archive: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.concat([Buffer.from(`${jws}\n`), archive]);
}

/** The signed state of an answer, and the archive behind it, which the device verifies like a downloaded one. */
export function splitDesired(answer: Buffer): { jws: string; archive: Buffer | null } {
  const end = answer.indexOf('\n');
  if (end === -1) return { jws: answer.toString('latin1').trim(), archive: null };
  const archive = answer.subarray(end + 1);
  return { jws: answer.toString('latin1', 0, end).trim(), archive: archive.length === 0 ? null : archive };
}

/** Delay of reports that are not urgent, ms. A fast device sends all its steps in one request, a slow one each step within a second. */
export const REPORT_GATHER_MS = 1_000;

/** Steps of a deployment that the device reports, in order. `rolled_back` follows `failed` once the last confirmed bundle runs again. */
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
    /** The bundle in `current` at the time of the report; null when there is none. */
    runningDigest: Digest.nullable(),
    /** For `failed`: a stable word, for example `health_check_failed`, `download_failed`, `quarantined`, `no_space`, `root_unusable`, `interrupted`, `confirm_timeout`. */
    code: z.string().max(64).optional(),
    detail: z.string().max(4000).optional(),
  }),
  /** The device is busy. It begins by itself at `until`, at `beginBefore` at the latest. */
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

/** Kinds of reports that are not urgent. */
export const UNATTENDED: readonly Report['kind'][] = ['heartbeat', 'telemetry', 'log'];

/** `POST /reports`, oldest first. */
export const ReportsRequest = z.strictObject({ reports: z.array(Report).min(1).max(500) });
export type ReportsRequest = z.infer<typeof ReportsRequest>;

/**
 * Answer to `POST /reports`. `confirmed` lists the deployments whose `confirming` report was in the batch and which are still current: the agent
 * makes them permanent. A deployment that is missing there was superseded or cancelled. The agent keeps its files, which are healthy, and
 * continues with the next desired state.
 */
export const ReportsResponse = z.object({ accepted: z.number().int(), confirmed: z.array(z.string()) });
export type ReportsResponse = z.infer<typeof ReportsResponse>;

export const TimeResponse = z.object({ now: z.string() });

export const Labels = z.record(LabelKey, z.string().max(253));
export type Labels = z.infer<typeof Labels>;
