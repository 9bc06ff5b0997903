import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import { bundleManifest } from '../../bundle/store.ts';
import { hashToken, tokenKind } from '../../crypto/tokens.ts';
import { desiredEtag } from '../../delivery/desired.ts';
import { holdPoll, presentState, signedAnswer } from '../../delivery/held-polls.ts';
import { readInstance } from '../../device/instance.ts';
import type { Sender } from '../../device/instances-store.ts';
import { enrolmentTokensAmong } from '../../device/store/keys.ts';
import { invalid, Problem } from '../../errors.ts';
import { addressOf, senderOf } from '../../http/address.ts';
import { bearerOf, unauthorized } from '../../http/bearer.ts';
import { limitBody, readJson } from '../../http/limits.ts';
import { refuse } from '../../http/rate-limit.ts';
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
import { inTwoQueues } from '../auth.ts';
import type { Env } from '../env.ts';
import type { Services } from '../services.ts';

/** Longest long poll: below the idle timeouts of usual proxies. */
const MAX_WAIT_SECONDS = 55;
const MAX_REPORT_BYTES = 4 * 1024 * 1024;
/** Archives that are larger are sent as they are read. */
const STREAMED_BYTES = 64 * 1024;

/** `/agent/v1`: devices that pull. */
export function agentRoutes(services: Services): Hono<Env> {
  const app = new Hono<Env>();
  const { admission } = services;
  const isEnrolmentToken = inTwoQueues(services.limits, (hashes: readonly Buffer[]) => enrolmentTokensAmong(services.store.sql, hashes));
  app.post('/enroll', limitBody(), async (c) => {
    const input = await readJson(c);
    const token = bearerOf(c.req.header('authorization')) ?? '';
    const sender = senderOf(c, services.config.TRUST_PROXY);
    const refuseToken = () => refuse(services.limits, sender, unauthorized('the enrolment token is unknown, used up or expired'));
    // Before a transaction is opened for it.
    const known = tokenKind(token) === 'enrolment' && (await isEnrolmentToken(sender, hashToken(token)));
    if (!known) refuseToken();
    const answer = await enroll(services, token, input, agentOf(services, c)).catch((error: unknown) => {
      if (error instanceof Problem && error.status === 401) refuseToken();
      throw error;
    });
    return c.json(answer, 201);
  });
  app.get('/time', (c) => c.json({ now: new Date().toISOString() }));
  app.use('*', services.deviceAuth.require);
  app.get('/keys', async (c) => {
    const { organizationId } = c.get('device');
    return c.json({ organizationId, signingKeys: await services.signer.publicKeys(organizationId) });
  });
  app.get('/desired', (c) => desired(services, c));
  app.get('/bundles/:digest', (c) => admission.serve(c.get('device'), () => bundle(services, c, c.req.param('digest'))));
  app.post('/reports', limitBody(MAX_REPORT_BYTES), async (c) => {
    const device = c.get('device');
    const { reports } = parseReports(await readJson(c));
    const sender = agentOf(services, c);
    const confirmed = await admission.serve(device, () => services.intake.take(device.organizationId, device.deviceId, reports, sender));
    if (reports.some(endsAttempt)) admission.release(device);
    return c.json({ accepted: reports.length, confirmed } satisfies ReportsResponse);
  });
  return app;
}

async function enroll({ store, signer }: Services, token: string, input: unknown, sender: Sender): Promise<EnrollResponse> {
  const parsed = EnrollRequest.safeParse(input);
  if (!parsed.success)
    throw invalid(
      'Cannot enrol: the request is not valid',
      parsed.error.issues.map((issue) => ({ pointer: `/${issue.path.join('/')}`, detail: issueText(issue) })),
    );
  const enrolled = await enrollDevice(store, token, parsed.data, sender);
  return { deviceId: parsed.data.deviceId, ...enrolled, signingKeys: await signer.publicKeys(enrolled.organizationId) };
}

async function desired(services: Services, c: Context<Env>): Promise<Response> {
  const key = c.get('device');
  const known = c.req.header('if-none-match');
  const waitMs = Math.min(MAX_WAIT_SECONDS, Math.max(0, Number(c.req.query('wait') ?? 0) || 0)) * 1000;
  const inlineBytes = Math.min(INLINE_BYTES, Number(c.req.query('inline') ?? 0) || 0);
  if (known !== undefined && waitMs > 0) {
    await holdPoll(services, { key, known, waitMs, inlineBytes, requestId: c.get('requestId'), outgoing: c.env.outgoing });
    return RESPONSE_ALREADY_SENT;
  }
  const state = await presentState(services, key);
  if (desiredEtag(state) === known) return c.body(null, 304, { etag: known });
  const { body, headers } = await signedAnswer(services, state, inlineBytes);
  return c.body(body, 200, headers);
}

async function bundle({ store, archives }: Services, c: Context<Env>, digest: string): Promise<Response> {
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
  // What many devices take slowly must not be held for each of them.
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

/** The agent that speaks, and where it stands. */
function agentOf({ config }: Services, c: Context<Env>): Sender {
  return { instance: readInstance(c.req.header(INSTANCE_HEADER)), address: addressOf(c, config.TRUST_PROXY) };
}

/** Nothing more is to come of it soon. */
function endsAttempt(report: Report): boolean {
  return report.kind === 'deferred' || (report.kind === 'deployment' && ['succeeded', 'failed', 'rolled_back'].includes(report.state));
}

function parseReports(input: unknown): ReportsRequest {
  const parsed = ReportsRequest.safeParse(input);
  if (parsed.success) return parsed.data;
  throw invalid(
    'Cannot take the reports: they are not valid',
    parsed.error.issues.slice(0, 20).map((issue) => ({ pointer: `/${issue.path.join('/')}`, detail: issueText(issue) })),
  );
}
