import { type Context, Hono } from 'hono';
import { createCoalescer } from '../../async/coalesce.ts';
import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import { notFound, Problem } from '../../errors.ts';
import type { EventBuffer } from '../../event/buffer.ts';
import type { Store } from '../../event/transact.ts';
import { judgeRepository } from '../../hook/decide.ts';
import { createHookRecorder } from '../../hook/record.ts';
import { createRepeatedBodies } from '../../hook/repeated-bodies.ts';
import { note, type TakeDeps, takeHook } from '../../hook/take.ts';
import { senderOf } from '../../http/address.ts';
import { logOf } from '../../http/kit.ts';
import { readBounded } from '../../http/limits.ts';
import { type RateLimits, refuse } from '../../http/rate-limit.ts';
import { UUID } from '../../ids.ts';
import type { Log } from '../../log.ts';
import { openHookSecret } from '../../source/credentials.ts';
import type { NotedVerdict } from '../../source/deliveries-store.ts';
import type { Source } from '../../source/source.ts';
import { enabledSources } from '../../source/store.ts';
import type { ParsedHook, Ping, WebhookProvider } from '../../source/webhook/provider.ts';
import { recogniseProvider, webhookProvider } from '../../source/webhook/registry.ts';
import { storableValue } from '../../wire/text/text.ts';
import { inTwoQueues } from '../auth.ts';
import type { Env } from '../env.ts';
import type { Metrics } from '../metrics.ts';

/** GitHub's and GitLab's own limit is 25 MB. The signature covers the whole body, though only its beginning matters here. */
const MAX_HOOK_BYTES = 25 * 1024 * 1024;
/** An error shows this much of an invalid id: more than a UUID's 36 characters. */
const MAX_SHOWN_ID = 40;

/** Hosts send several hooks for one push, and people push several times in a row: hooks trigger one check per source in this time. */
const WOKEN_EVERY_MS = 150;

type Deps = {
  store: Store;
  box: SecretBox;
  events: EventBuffer;
  log: Log;
  limits: RateLimits;
  metrics: Metrics;
  config: Pick<Config, 'TRUST_PROXY'>;
};

type Receiver = Deps &
  TakeDeps & {
    /** Many ids share a query. undefined for ids that are none, and for sources of disabled organizations. */
    findSource(sender: string, id: string): Promise<Source | undefined>;
  };

/** `POST /hooks/:sourceId`: reads the raw body, verifies it, records the delivery, wakes the source and answers. */
export function hookRoutes(deps: Deps): Hono<Env> {
  const receiver = createReceiver(deps);
  const app = new Hono<Env>();
  app.post('/hooks/:sourceId', async (c) => {
    try {
      return await receive(receiver, c);
    } catch (error) {
      const problem = refusalOf(error, recogniseProvider(c.req.raw.headers));
      if (problem.status === 503) logOf(c).warn({ err: error }, 'failed to take a hook; its sender may try again');
      throw problem;
    }
  });
  return app;
}

function createReceiver(deps: Deps): Receiver {
  const { sql, queue } = deps.store;
  const wakes = createCoalescer(WOKEN_EVERY_MS, (sourceId: string) => {
    queue
      .enqueue(sql, 'source', sourceId)
      .catch((error: unknown) => deps.log.warn({ sourceId, err: error }, 'failed to enqueue a source check; the next poll runs it'));
  });
  return {
    ...deps,
    wake: (sourceId) => wakes.offer(sourceId, sourceId),
    findSource: inTwoQueues(deps.limits, (ids: readonly string[]) => enabledSources(sql, ids)),
    repeats: createRepeatedBodies(),
    record: createHookRecorder(sql),
  };
}

/** Never 500: some hosts disable a hook after it and lose later events. All hosts may try again after 503. */
function refusalOf(error: unknown, sender: WebhookProvider | null): Problem {
  if (!(error instanceof Problem) || error.status === 500)
    return new Problem('unavailable', 'Cannot take the hook now', { retryAfterSeconds: 5, cause: error });
  const status = sender?.statusInstead?.[error.status];
  if (status === undefined) return error;
  const { code, message, retryAfterSeconds } = error;
  return new Problem({ received: code }, message, { status, retryAfterSeconds, cause: error });
}

async function receive(receiver: Receiver, c: Context<Env>): Promise<Response> {
  const { limits, metrics } = receiver;
  const sender = senderOf(c, receiver.config.TRUST_PROXY);
  const id = c.req.param('sourceId') ?? '';
  // A sender with too many verified hooks is refused before its next one costs anything: it would be refused afterwards.
  limits.hook.check(`${id} ${sender}`);
  const source = await findSource(receiver, sender, id);
  const hook = await verifiedOrNoted(receiver, source, sender, c.req.raw);
  limits.hook.take(`${source.id} ${sender}`);
  if (hook.kind === 'ping') {
    await notePing(receiver, source, hook);
    return c.json({ accepted: false, reason: 'ping' }, 200);
  }
  const outcome = hook.kind === 'ignored' ? await noteIgnored(receiver, source, hook) : await takeHook(receiver, source, hook);
  const { provider, deliveryId } = hook;
  metrics.hook(provider, outcome);
  logOf(c).info({ sourceId: source.id, provider, deliveryId, outcome }, 'hook');
  return c.json({ accepted: outcome === 'accepted', outcome, deliveryId }, 202);
}

async function findSource(receiver: Receiver, sender: string, id: string): Promise<Source> {
  const source = UUID.test(id) ? await receiver.findSource(sender, id) : undefined;
  return source ?? refuse(receiver.limits, sender, notFound('source', id.slice(0, MAX_SHOWN_ID)));
}

/** Counts and notes a refusal. Hooks of a sender beyond its failures are not noted any more, but a verified hook still passes. */
async function verifiedOrNoted(receiver: Receiver, source: Source, sender: string, raw: Request): Promise<Verified> {
  const { webhookProvider: configured, webhookOptions: options } = source;
  const provider = configured === null ? recogniseProvider(raw.headers) : webhookProvider(configured, options);
  try {
    return await verified(receiver, source, provider, raw);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    receiver.limits.refusal.take(sender);
    await noteRefusal(receiver, source, provider?.name ?? 'unknown', error);
    throw error;
  }
}

async function noteIgnored(receiver: Receiver, source: Source, { provider, reason }: { provider: string; reason: string }) {
  await note(receiver, source, { provider, verdict: 'ignored', detail: reason });
  return 'ignored' as const;
}

async function notePing(receiver: Receiver, source: Source, { provider, repository }: Ping & { provider: string }): Promise<void> {
  receiver.metrics.hook(provider, 'ping');
  const { verdict, detail } = judgeRepository(source, provider, repository);
  const isOther = verdict === 'other';
  await note(receiver, source, {
    provider,
    verdict: isOther ? 'other_repository' : 'ping',
    detail: isOther ? detail : 'The host tried the connection',
  });
}

type Verified = ParsedHook & { provider: string; body: Uint8Array | null };

/** @throws Problem whose code names the reason of the refusal */
async function verified({ box }: Receiver, source: Source, provider: WebhookProvider | null, raw: Request): Promise<Verified> {
  const rawBody = await readBounded(raw, MAX_HOOK_BYTES, tooLarge);
  const secret = openHookSecret(box, source);
  if (secret === null) throw new Problem('hook_unauthorized', `Cannot take webhooks for source "${source.name}": set webhook.secret first`);
  if (provider === null)
    throw new Problem('hook_unauthorized', 'Cannot recognise the sender of this webhook: its headers are of no known git host');
  const request = { headers: raw.headers, rawBody };
  const verdict = provider.verify(request, secret, new Date());
  if (!verdict.ok) throw verdict.problem;
  // The scheme of signing tokens covers id and time: nobody else can send such a body again.
  const body = verdict.proof === 'signing_token' ? null : rawBody;
  return { ...storableValue(provider.parse(request)), provider: provider.name, body };
}

const REFUSALS: Record<string, NotedVerdict> = {
  hook_unauthorized: 'unauthorized',
  hook_expired: 'expired',
  hook_malformed: 'malformed',
  hook_too_large: 'malformed',
};

async function noteRefusal(receiver: Receiver, source: Source, provider: string, problem: Problem): Promise<void> {
  receiver.metrics.hook(provider, problem.code);
  const verdict = REFUSALS[problem.code];
  if (verdict !== undefined) await note(receiver, source, { provider, verdict, detail: problem.message });
}

function tooLarge(): Problem {
  return new Problem('hook_too_large', `Cannot take a webhook of more than ${MAX_HOOK_BYTES} bytes`);
}
