import { type Context, Hono } from 'hono';
import { createCoalescer } from '../../async/coalesce.ts';
import { notFound, Problem } from '../../errors.ts';
import { createRepeatedBodies, type RepeatedBodies } from '../../hook/repeated-bodies.ts';
import { type HookOutcome, judgeRepository, note, takeHook } from '../../hook/take.ts';
import { senderOf } from '../../http/address.ts';
import { logOf } from '../../http/kit.ts';
import { readBounded } from '../../http/limits.ts';
import { refuse } from '../../http/rate-limit.ts';
import { UUID } from '../../ids.ts';
import { openHookSecret } from '../../source/credentials.ts';
import type { NotedVerdict } from '../../source/deliveries-store.ts';
import type { Source } from '../../source/source.ts';
import { checkSourceWithin, enabledSources } from '../../source/store.ts';
import type { ParsedHook, Ping, Poke, WebhookProvider } from '../../source/webhook/provider.ts';
import { recogniseProvider, webhookProvider } from '../../source/webhook/registry.ts';
import { storableValue } from '../../wire/text/text.ts';
import { inTwoQueues } from '../auth.ts';
import type { Env } from '../env.ts';
import type { Services } from '../services.ts';

/** GitHub's and GitLab's own limit is 25 MB; nothing of a push that matters here is that far in, but the signature covers all of it. */
const MAX_HOOK_BYTES = 25 * 1024 * 1024;
/** Of an id that is none, so much is shown: longer than a UUID. */
const MAX_SHOWN_ID = 40;

/** Hosts send several hooks for one push, and people push several times in a row: hooks wake a source this often at most, ms. */
const WOKEN_EVERY_MS = 150;

type Receiving = Services & {
  wake(sourceId: string): void;
  /** Many ids in a query. undefined for ids that are none, and for sources of disabled organizations. */
  findSource(sender: string, id: string): Promise<Source | undefined>;
  repeats: RepeatedBodies;
};

/** `POST /hooks/:sourceId`: read raw and bounded, verify, note the delivery and wake the source, answer. */
export function hookRoutes(services: Services): Hono<Env> {
  const { store, log } = services;
  const wakes = createCoalescer(WOKEN_EVERY_MS, (sourceId: string) => {
    store.queue
      .enqueue(store.sql, 'source', sourceId)
      .catch((error: unknown) => log.warn({ sourceId, err: error }, 'failed to enqueue a source check; the next poll runs it'));
  });
  const receiving: Receiving = {
    ...services,
    wake: (sourceId) => wakes.offer(sourceId, sourceId),
    findSource: inTwoQueues(services.limits, (ids: readonly string[]) => enabledSources(store.sql, ids)),
    repeats: createRepeatedBodies(),
  };
  const app = new Hono<Env>();
  app.post('/hooks/:sourceId', async (c) => {
    try {
      return await answer(receiving, c);
    } catch (error) {
      const problem = refusalOf(error, recogniseProvider(c.req.raw.headers));
      if (problem.status === 503) logOf(c).warn({ err: error }, 'failed to take a hook; its sender may try again');
      throw problem;
    }
  });
  return app;
}

/** Never 500: some hosts take that for a broken address and lose events from then on, while all of them may try again after 503. */
function refusalOf(error: unknown, sender: WebhookProvider | null): Problem {
  if (!(error instanceof Problem) || error.status === 500)
    return new Problem('unavailable', 'Cannot take the hook now', { retryAfterSeconds: 5, cause: error });
  const status = sender?.statusInstead?.[error.status];
  if (status === undefined) return error;
  const { code, message, retryAfterSeconds } = error;
  return new Problem({ received: code }, message, { status, retryAfterSeconds, cause: error });
}

async function answer(services: Receiving, c: Context<Env>): Promise<Response> {
  const id = c.req.param('sourceId') ?? '';
  const { headers } = c.req.raw;
  const sender = senderOf(c, services.config.TRUST_PROXY);
  const source = UUID.test(id) ? await services.findSource(sender, id) : undefined;
  if (source === undefined) refuse(services.limits, sender, notFound('source', id.slice(0, MAX_SHOWN_ID)));
  const provider =
    source.webhookProvider === null ? recogniseProvider(headers) : webhookProvider(source.webhookProvider, source.webhookOptions);
  const hook = await verified(services, source, provider, c.req.raw).catch(async (error: unknown) => {
    if (!(error instanceof Problem)) throw error;
    // Beyond its failures a sender's hooks are not noted any more. A hook that is verified passes all the same.
    services.limits.refusal.take(sender);
    await noteRefusal(services, source, provider?.name ?? 'unknown', error);
    throw error;
  });
  services.limits.hook.take(`${id} ${sender}`);
  if (hook.kind === 'ping') {
    await notePing(services, source, hook);
    return c.json({ accepted: false, reason: 'ping' }, 200);
  }
  if (hook.kind === 'ignored') await note(services, source, { provider: hook.provider, verdict: 'ignored', detail: hook.reason });
  const outcome = hook.kind === 'ignored' ? 'ignored' : await takeOnce(services, source, hook.provider, hook, hook.repeatable);
  services.metrics.hook(hook.provider, outcome);
  logOf(c).info({ sourceId: source.id, provider: hook.provider, deliveryId: hook.deliveryId, outcome }, 'hook');
  return c.json({ accepted: outcome === 'accepted', outcome, deliveryId: hook.deliveryId }, 202);
}

async function notePing(services: Services, source: Source, { provider, repository }: Ping & { provider: string }): Promise<void> {
  services.metrics.hook(provider, 'ping');
  const { verdict, detail } = judgeRepository(source, provider, repository);
  const isOther = verdict === 'other';
  await note(services, source, {
    provider,
    verdict: isOther ? 'other_repository' : 'ping',
    detail: isOther ? detail : 'The host tried the connection',
  });
}

/** @throws Problem whose code says why the hook is not taken */
async function verified(
  { box }: Services,
  source: Source,
  provider: WebhookProvider | null,
  raw: Request,
): Promise<ParsedHook & { provider: string; repeatable: Uint8Array | null }> {
  const rawBody = await readBounded(raw, MAX_HOOK_BYTES, tooLarge);
  const secret = openHookSecret(box, source);
  if (secret === null) throw new Problem('hook_unauthorized', `Cannot take webhooks for source "${source.name}": set webhook.secret first`);
  if (provider === null)
    throw new Problem('hook_unauthorized', 'Cannot recognise the sender of this webhook: its headers are of no known git host');
  const request = { headers: raw.headers, rawBody };
  const verdict = provider.verify(request, secret, new Date());
  if (!verdict.ok) throw verdict.problem;
  // The scheme of signing tokens covers id and time: nobody else can send such a body again.
  const repeatable = verdict.proof === 'signing_token' ? null : rawBody;
  return { ...storableValue(provider.parse(request)), provider: provider.name, repeatable };
}

const REFUSALS: Record<string, NotedVerdict> = {
  hook_unauthorized: 'unauthorized',
  hook_expired: 'expired',
  hook_malformed: 'malformed',
  hook_too_large: 'malformed',
};

async function noteRefusal(services: Services, source: Source, provider: string, problem: Problem): Promise<void> {
  services.metrics.hook(provider, problem.code);
  const verdict = REFUSALS[problem.code];
  if (verdict !== undefined) await note(services, source, { provider, verdict, detail: problem.message });
}

/** Takes a body at most once in a while, whatever delivery id stands beside it. @param body null where the signature covers the id */
async function takeOnce(services: Receiving, source: Source, provider: string, poke: Poke, body: Uint8Array | null): Promise<HookOutcome> {
  if (body === null) return takeHook(services, source, provider, poke);
  const delivery = { body, meaning: `${poke.event} ${poke.mergeRequest?.state ?? ''}` };
  const repetition = services.repeats.note(source.id, delivery, poke.after !== null);
  if (repetition.kind === 'again') {
    const { dueInSeconds, isNew } = repetition;
    const detail = `Delivery "${poke.deliveryId}" has the body of an earlier one; the source is checked within ${dueInSeconds} s`;
    if (isNew) await note(services, source, { provider, verdict: 'duplicate', detail });
    await checkSourceWithin(services.store.sql, source.id, dueInSeconds);
    return 'duplicate';
  }
  return takeHook(services, source, provider, poke).catch((error: unknown) => {
    services.repeats.forget(source.id, delivery);
    throw error;
  });
}

function tooLarge(): Problem {
  return new Problem('hook_too_large', `Cannot take a webhook of more than ${MAX_HOOK_BYTES} bytes`);
}
