import { Hono } from 'hono';
import { notFound, Problem } from '../errors.ts';
import type { Env } from '../http/api.ts';
import type { Services } from '../http/services.ts';
import { openHookSecret } from './credentials.ts';
import { EXPECT_COMMIT_SECONDS, followsRef, type Source } from './source.ts';
import { recordHook, sourceById } from './store.ts';
import type { Poke } from './webhook/provider.ts';
import { recogniseProvider, webhookProvider } from './webhook/registry.ts';

/** GitHub's and GitLab's own limit is 25 MB; nothing of a push that matters here is that far in, but the signature covers all of it. */
const MAX_HOOK_BYTES = 25 * 1024 * 1024;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `POST /hooks/:sourceId`: read raw and bounded, verify, note the delivery and wake the source, answer. */
export function hookRoutes(services: Services): Hono<Env> {
  const { store, box, metrics } = services;
  const app = new Hono<Env>();
  app.post('/hooks/:sourceId', async (c) => {
    const id = c.req.param('sourceId');
    const source = UUID.test(id) ? await sourceById(store.sql, id) : undefined;
    if (source === undefined) throw notFound('source', id);
    const rawBody = await readBounded(c.req.raw);
    const provider = source.webhookProvider === null ? recogniseProvider(c.req.raw.headers) : webhookProvider(source.webhookProvider);
    if (provider === null)
      throw new Problem('hook_malformed', 'Cannot recognise the sender of this webhook: its headers are of no known git host', {
        status: 400,
      });
    const request = { headers: c.req.raw.headers, rawBody };
    const secret = openHookSecret(box, source);
    if (secret === null)
      throw new Problem('hook_unauthorized', `Cannot take webhooks for source "${source.name}": set webhook.secret first`, { status: 401 });
    const verdict = provider.verify(request, secret, new Date());
    if (!verdict.ok) {
      metrics.hook(provider.name, verdict.problem.code);
      throw verdict.problem;
    }
    const hook = provider.parse(request);
    if (hook.kind === 'ping') return c.json({ accepted: false, reason: 'ping' }, 200);
    const outcome = hook.kind === 'ignored' ? 'ignored' : await take(services, source, provider.name, hook);
    metrics.hook(provider.name, outcome);
    c.get('log').info({ sourceId: source.id, provider: provider.name, deliveryId: hook.deliveryId, outcome }, 'hook');
    return c.json({ accepted: outcome === 'accepted', outcome, deliveryId: hook.deliveryId }, 202);
  });
  return app;
}

type Outcome = 'accepted' | 'duplicate' | 'other_ref';

/**
 * One statement keeps the delivery and makes the source due, which is what must not be lost: the poller would find it within a second. The job that
 * wakes a worker at once, and the event, follow without the sender waiting for them.
 */
async function take({ store, events, log }: Services, source: Source, provider: string, poke: Poke): Promise<Outcome> {
  const concerns = poke.event !== 'merge_request' && followsRef(source.ref, poke.ref);
  const { organizationId, id: sourceId } = source;
  const { deliveryId, event, ref, after, pusher } = poke;
  // A tag's new value is the tag object, not the commit that the ref list peels it to: nothing to wait for.
  const expected = event === 'push' ? after : null;
  const delivery = {
    organizationId,
    sourceId,
    deliveryId,
    provider,
    event,
    ref,
    commitOid: after,
    verdict: concerns ? 'accepted' : 'other_ref',
  };
  if (!(await recordHook(store.sql, delivery, concerns ? { commit: expected, seconds: EXPECT_COMMIT_SECONDS } : null))) return 'duplicate';
  if (!concerns) return 'other_ref';
  store.queue
    .enqueue(store.sql, 'source', sourceId)
    .catch((error: unknown) => log.warn({ sourceId, err: error }, 'a hook wakes its source at the next poll'));
  events.tell({
    organizationId,
    type: 'hook.received',
    subject: `source:${sourceId}`,
    data: { provider, ref, commit: after, deliveryId, pusher },
  });
  return 'accepted';
}

async function readBounded(request: Request): Promise<Uint8Array> {
  const tooLarge = () => new Problem('hook_too_large', `Cannot take a webhook of more than ${MAX_HOOK_BYTES} bytes`, { status: 413 });
  if (Number(request.headers.get('content-length') ?? 0) > MAX_HOOK_BYTES) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_HOOK_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
