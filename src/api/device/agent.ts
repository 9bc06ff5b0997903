import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import { bundleManifest } from '../../bundle/store.ts';
import type { Config } from '../../config.ts';
import { hashToken, tokenKind } from '../../crypto/tokens.ts';
import { desiredEtag } from '../../delivery/desired.ts';
import { type HeldPollDeps, holdPoll, presentState, signedAnswer } from '../../delivery/held-polls.ts';
import { readInstance } from '../../device/instance.ts';
import type { Sender } from '../../device/instances-store.ts';
import { enrolmentTokensAmong } from '../../device/store/keys.ts';
import { invalid, Problem } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { addressOf, senderOf } from '../../http/address.ts';
import { bearerOf, unauthorized } from '../../http/bearer.ts';
import { limitBody, readJson } from '../../http/limits.ts';
import { type RateLimits, refuse } from '../../http/rate-limit.ts';
import { enrollDevice } from '../../inventory/enroll.ts';
import {
  EnrollRequest,
  type EnrollResponse,
  INLINE_BYTES,
  INSTANCE_HEADER,
  type Report,
  ReportsRequest,
  type ReportsResponse,
} from '../../wire/agent.ts';
import { Digest } from '../../wire/bundle.ts';
import { issueText } from '../../wire/names.ts';
import { type DeviceAuth, inTwoQueues } from '../auth.ts';
import type { Env } from '../env.ts';

/** Longest long poll: below the idle timeouts of usual proxies. */
const MAX_WAIT_SECONDS = 55;
const MAX_REPORT_BYTES = 4 * 1024 * 1024;
/** Larger archives are streamed. */
const STREAMED_BYTES = 64 * 1024;

type ReplyDeps = HeldPollDeps & { config: Pick<Config, 'TRUST_PROXY'>; limits: RateLimits };
type EnrolDeps = ReplyDeps & { store: Store };
type Deps = EnrolDeps & { deviceAuth: DeviceAuth };

/** `/agent/v1`: devices that poll. These routes parse by themselves, because they are hot or carry raw bytes. */
export function agentRoutes(deps: Deps): Hono<Env> {
  const app = new Hono<Env>();
  app.post('/enroll', limitBody(), enroll(deps));
  app.get('/time', (c) => c.json({ now: new Date().toISOString() }));
  app.use('*', deps.deviceAuth.require);
  app.get('/keys', (c) => keys(deps, c));
  app.get('/desired', (c) => desired(deps, c));
  app.get('/bundles/:digest', (c) => deps.admission.serve(c.get('device'), () => bundle(deps, c, c.req.param('digest'))));
  app.post('/reports', limitBody(MAX_REPORT_BYTES), (c) => reports(deps, c));
  return app;
}

function enroll({ store, signer, limits, config }: EnrolDeps): (c: Context<Env>) => Promise<Response> {
  const isEnrolmentToken = inTwoQueues(limits, (hashes: readonly Buffer[]) => enrolmentTokensAmong(store.sql, hashes));
  return async (c) => {
    const input = await readJson(c);
    const token = bearerOf(c.req.header('authorization')) ?? '';
    const sender = senderOf(c, config.TRUST_PROXY);
    const refuseToken = () => refuse(limits, sender, unauthorized('the enrolment token is unknown, used up or expired'));
    // A stranger's request opens no transaction.
    const known = tokenKind(token) === 'enrolment' && (await isEnrolmentToken(sender, hashToken(token)));
    if (!known) refuseToken();
    const wanted = parseEnrolment(input);
    const enrolled = await enrollDevice(store, token, wanted, agentOf(config, c)).catch((error: unknown) => {
      if (error instanceof Problem && error.status === 401) refuseToken();
      throw error;
    });
    const { deviceId } = wanted;
    const signingKeys = await signer.publicKeys(enrolled.organizationId);
    return c.json({ deviceId, ...enrolled, signingKeys } satisfies EnrollResponse, 201);
  };
}

async function keys({ signer }: Deps, c: Context<Env>): Promise<Response> {
  const { organizationId } = c.get('device');
  return c.json({ organizationId, signingKeys: await signer.publicKeys(organizationId) });
}

async function desired(deps: Deps, c: Context<Env>): Promise<Response> {
  const key = c.get('device');
  const known = c.req.header('if-none-match');
  const waitMs = Math.min(MAX_WAIT_SECONDS, Math.max(0, Number(c.req.query('wait') ?? 0) || 0)) * 1000;
  const inlineBytes = Math.min(INLINE_BYTES, Number(c.req.query('inline') ?? 0) || 0);
  if (known !== undefined && waitMs > 0) {
    await holdPoll(deps, { key, known, waitMs, inlineBytes, requestId: c.get('requestId'), outgoing: c.env.outgoing });
    return RESPONSE_ALREADY_SENT;
  }
  const state = await presentState(deps, key);
  if (desiredEtag(state) === known) return c.body(null, 304, { etag: known });
  const { body, headers } = await signedAnswer(deps, state, inlineBytes);
  return c.body(body, 200, headers);
}

async function reports({ admission, intake, config }: Deps, c: Context<Env>): Promise<Response> {
  const device = c.get('device');
  const { reports: sent } = parseReports(await readJson(c));
  const sender = agentOf(config, c);
  const confirmed = await admission.serve(device, () => intake.take(device.organizationId, device.deviceId, sent, sender));
  if (sent.some(endsAttempt)) admission.release(device);
  return c.json({ accepted: sent.length, confirmed } satisfies ReportsResponse);
}

async function bundle({ store, archives }: Deps, c: Context<Env>, digest: string): Promise<Response> {
  const { organizationId } = c.get('device');
  if (!Digest.safeParse(digest).success) throw invalid(`Cannot find bundle "${digest}": a digest has 64 hex digits`);
  const etag = `"${digest}"`;
  const fixed = {
    etag,
    'cache-control': 'public, max-age=31536000, immutable',
    'accept-ranges': 'bytes',
    'content-type': 'application/x-tar',
    'x-content-type-options': 'nosniff',
  };
  if (c.req.header('if-none-match') === etag && (await bundleManifest(store.sql, organizationId, digest)) !== undefined)
    return c.body(null, 304, fixed);
  const archive = await archives.open({ organizationId, digest });
  if (archive === undefined) throw new Problem('bundle_missing', `Cannot find bundle ${digest}`);
  const { size } = archive;
  const range = rangeOf(c.req.header('range'), c.req.header('if-range'), etag, size);
  if (range === 'unsatisfiable') return c.body(null, 416, { ...fixed, 'content-range': `bytes */${size}` });
  const [start, end] = range ?? [0, size - 1];
  const bytes = archive.read(start, end);
  // Many devices may download slowly: the service must not hold the whole archive for each of them.
  const content = size > STREAMED_BYTES ? ReadableStream.from(bytes) : new Uint8Array(Buffer.concat(await Array.fromAsync(bytes)));
  const partial: Record<string, string> = range === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${size}` };
  return c.body(content, range === undefined ? 200 : 206, { ...fixed, ...partial, 'content-length': String(end + 1 - start) });
}

/** First and last byte of a single range (RFC 9110, section 14); several, malformed or stale (`If-Range`) ones mean the whole. */
function rangeOf(
  range: string | undefined,
  condition: string | undefined,
  etag: string,
  size: number,
): [number, number] | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(range ?? '');
  if (match === null || (condition !== undefined && condition !== etag) || (match[1] === '' && match[2] === '')) return undefined;
  const start = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  return start >= size || start > end ? 'unsatisfiable' : [start, end];
}

/** The agent that sends the request, and its address. */
function agentOf(config: Pick<Config, 'TRUST_PROXY'>, c: Context<Env>): Sender {
  return { instance: readInstance(c.req.header(INSTANCE_HEADER)), address: addressOf(c, config.TRUST_PROXY) };
}

/** Whether the attempt is over, or put off: no further request of it follows soon. */
function endsAttempt(report: Report): boolean {
  return report.kind === 'deferred' || (report.kind === 'deployment' && ['succeeded', 'failed', 'rolled_back'].includes(report.state));
}

function parseEnrolment(input: unknown): EnrollRequest {
  const parsed = EnrollRequest.safeParse(input);
  if (parsed.success) return parsed.data;
  throw invalid(
    'Cannot enrol: the request is not valid',
    parsed.error.issues.map((issue) => ({ pointer: `/${issue.path.join('/')}`, detail: issueText(issue) })),
  );
}

function parseReports(input: unknown): ReportsRequest {
  const parsed = ReportsRequest.safeParse(input);
  if (parsed.success) return parsed.data;
  throw invalid(
    'Cannot take the reports: they are not valid',
    parsed.error.issues.slice(0, 20).map((issue) => ({ pointer: `/${issue.path.join('/')}`, detail: issueText(issue) })),
  );
}
