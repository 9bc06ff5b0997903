import { type Context, Hono } from 'hono';
import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import { notFound, Problem } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { senderOf } from '../../http/address.ts';
import { logOf } from '../../http/kit.ts';
import { readBounded } from '../../http/limits.ts';
import { type RateLimits, refuse } from '../../http/rate-limit.ts';
import { UUID } from '../../ids.ts';
import { openHookSecret } from '../../integration/credentials.ts';
import { takeIntegrationHook } from '../../integration/hooks.ts';
import type { Integration } from '../../integration/integration.ts';
import { openPlatform, type PlatformDeps } from '../../integration/open.ts';
import type { HookNotice, HookReader, HookRequest } from '../../integration/provider.ts';
import { integrationsByIds } from '../../integration/store/services.ts';
import { isDeviceSyncEnabled } from '../../organization/store.ts';
import { isTooDeepValue, MAX_JSON_DEPTH } from '../../wire/text/json.ts';
import { storableText, storableValue } from '../../wire/text/text.ts';
import { inTwoQueues } from '../auth.ts';
import type { Env } from '../env.ts';
import type { Metrics } from '../metrics.ts';

/** Platforms send the data of one device, or of a few. */
const MAX_HOOK_BYTES = 1024 * 1024;
/** An error shows this much of an invalid id: more than a UUID's 36 characters. */
const MAX_SHOWN_ID = 40;

type Deps = {
  store: Store;
  box: SecretBox;
  platforms: PlatformDeps;
  limits: RateLimits;
  metrics: Metrics;
  config: Pick<Config, 'TRUST_PROXY'>;
};

type Receiver = Deps & { find(sender: string, id: string): Promise<Integration | undefined> };

/** `POST /hooks/integrations/:id`: reads the raw body, verifies it with the integration's own secret, takes it once and answers. */
export function integrationHookRoutes(deps: Deps): Hono<Env> {
  // Many ids share a query.
  const find = inTwoQueues(deps.limits, (ids: readonly string[]) => integrationsByIds(deps.store.sql, ids));
  const receiver = { ...deps, find };
  const app = new Hono<Env>();
  app.post('/hooks/integrations/:id', async (c) => {
    try {
      return await receive(receiver, c);
    } catch (error) {
      if (error instanceof Problem && error.status !== 500) throw error;
      logOf(c).warn({ err: error }, 'failed to take a hook of a platform; its sender may try again, and the next sync reads what it said');
      throw new Problem('unavailable', 'Cannot take the hook now', { retryAfterSeconds: 5, cause: error });
    }
  });
  return app;
}

async function receive(receiver: Receiver, c: Context<Env>): Promise<Response> {
  const { limits, metrics, store } = receiver;
  const sender = senderOf(c, receiver.config.TRUST_PROXY);
  const integration = await findIntegration(receiver, sender, c.req.param('id') ?? '');
  const { id, organizationId, type } = integration;
  const { notice, rawBody } = await verifiedOrCounted(receiver, integration, sender, c.req.raw);
  limits.hook.take(`${id} ${sender}`);
  const isOn = integration.isActive && (await isDeviceSyncEnabled(store.sql, organizationId));
  const { outcome, devices } = isOn
    ? await takeIntegrationHook(store, integration, notice, rawBody)
    : ({ outcome: 'ignored', devices: 0 } as const);
  const { deliveryId } = notice;
  metrics.hook(type, outcome);
  logOf(c).info({ integrationId: id, type, deliveryId, outcome, devices }, 'platform hook');
  return c.json({ accepted: outcome === 'accepted', outcome, deliveryId, devices }, 202);
}

async function findIntegration(receiver: Receiver, sender: string, id: string): Promise<Integration> {
  const integration = UUID.test(id) && !receiver.platforms.isOff ? await receiver.find(sender, id) : undefined;
  return integration ?? refuse(receiver.limits, sender, notFound('integration', id.slice(0, MAX_SHOWN_ID)));
}

type Verified = { notice: HookNotice; rawBody: Uint8Array };

/** Counts a refusal against its sender, whose verified hooks still pass. */
async function verifiedOrCounted(receiver: Receiver, integration: Integration, sender: string, raw: Request): Promise<Verified> {
  try {
    return await verified(receiver, integration, raw);
  } catch (error) {
    if (error instanceof Problem && error.status < 500) {
      receiver.metrics.hook(integration.type, error.code);
      receiver.limits.refusal.take(sender);
    }
    throw error;
  }
}

/** @throws Problem `hook_unauthorized`, `hook_malformed`, `hook_too_large` */
async function verified({ box, platforms }: Receiver, integration: Integration, raw: Request): Promise<Verified> {
  const rawBody = await readBounded(raw, MAX_HOOK_BYTES, tooLarge);
  const request: HookRequest = { headers: raw.headers, rawBody };
  const secret = openHookSecret(box, integration);
  const { name } = integration;
  if (secret === null) throw new Problem('hook_unauthorized', `Cannot take hooks for integration "${name}": set its hook secret first`);
  // The reader needs the settings alone: it also works while the integration is switched off, or waits for new credentials.
  const platform = openPlatform({ ...integration, isActive: true, blockedReason: null }, platforms);
  try {
    return { notice: noticeOf(platform.hook, request, { name, secret }), rawBody };
  } finally {
    await platform.close?.();
  }
}

function noticeOf(reader: HookReader | undefined, request: HookRequest, { name, secret }: { name: string; secret: string }): HookNotice {
  if (reader === undefined)
    throw new Problem('hook_unauthorized', `Cannot take hooks for integration "${name}": its platform sends none that could be verified`);
  if (!reader.verify(request, secret))
    throw new Problem('hook_unauthorized', `Cannot take the hook for integration "${name}": its secret or signature is wrong or missing`);
  const { deliveryId, devices } = parsed(reader, request, name);
  return {
    deliveryId: deliveryId === null ? null : storableText(deliveryId),
    devices: devices.map(({ externalId, seenAt, state }) => ({ ...storableValue({ externalId, state }), seenAt })),
  };
}

/** @throws Problem `hook_malformed` */
function parsed(reader: HookReader, request: HookRequest, name: string): HookNotice {
  const malformed = (why: string, cause?: unknown) =>
    new Problem('hook_malformed', `Cannot read the hook for integration "${name}": ${why}`, { cause });
  let notice: HookNotice;
  try {
    notice = reader.parse(request);
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed('it is not JSON', error);
    // The reader's own recursion.
    if (error instanceof RangeError) throw malformed('it is nested too deeply', error);
    throw error;
  }
  if (notice.devices.some(({ state }) => isTooDeepValue(state)))
    throw malformed(`its state is nested more than ${MAX_JSON_DEPTH} levels deep`);
  return notice;
}

function tooLarge(): Problem {
  return new Problem('hook_too_large', `Cannot take a hook of more than ${MAX_HOOK_BYTES} bytes`);
}
