import { randomBytes } from 'node:crypto';
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { audited } from '../../audit/audited.ts';
import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import { conflict, notFound, Problem } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import type { Forge, InstalledHook } from '../../forge/forge.ts';
import { forgeFor } from '../../forge/registry.ts';
import type { GitHosts } from '../../git/hosts.ts';
import type { AddressGuard } from '../../git/http/address-guard.ts';
import { proveWebhook } from '../../hook/proof.ts';
import { json, problems } from '../../http/kit.ts';
import type { Log } from '../../log.ts';
import { openHookSecret } from '../../source/credentials.ts';
import { lastPosition } from '../../source/deliveries-store.ts';
import type { ForgeKind } from '../../source/forge-settings.ts';
import type { Source } from '../../source/source.ts';
import { lockSource, noteHookRepository, noteWebhook, updateSource } from '../../source/store.ts';
import { callerOf, type Env, mount, operation, role } from '../env.ts';
import { findSource } from './find.ts';
import { hookUrlOf } from './schemas.ts';
import { webhookSettings } from './settings.ts';

type Deps = {
  store: Store;
  box: SecretBox;
  config: Config;
  guard: AddressGuard;
  forgeHosts: GitHosts;
  log: Log;
  publicUrl(): string;
};

/** `POST /sources/{id}/webhook`: installs a source's webhook at its git host, and proves that it works. */
export const webhookInstallRoutes = (deps: Deps) => mount(installOne(deps));

const WebhookInstalled = z
  .object({
    installed: z.enum(['created', 'updated', 'unchanged']),
    provider: z.string(),
    hookUrl: z.string(),
    settingsUrl: z.string().openapi({ description: 'Page of the webhook at the Git host' }),
    verified: z.boolean().openapi({ description: 'The service received and verified a test delivery of the host' }),
    detail: z.string().nullable().openapi({ description: 'Why the webhook is not verified' }),
  })
  .openapi('WebhookInstalled');

const installOne = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sources/{id}/webhook',
      tags: ['Sources'],
      description:
        "Installs or repairs the source's webhook at its Git host and requests a test delivery. Creates a secret if there is none. May be repeated.",
      middleware: [role('operator')] as const,
      request: { params: z.object({ id: z.uuid() }) },
      responses: {
        200: json(
          WebhookInstalled,
          'The webhook is at the host with the source’s secret; `verified` shows whether a test delivery arrived',
        ),
        ...problems,
        502: { ...problems[503], description: 'The Git host fails' },
        504: { ...problems[503], description: 'The Git host does not answer' },
      },
    }),
    async (c) => c.json(await install(c, deps, c.req.valid('param').id), 200),
  );

async function install(c: Context<Env>, deps: Deps, id: string): Promise<z.output<typeof WebhookInstalled>> {
  const { sql } = deps.store;
  const found = await findSource(sql, c.get('actor').organizationId, id);
  const forge = forgeFor(found, deps);
  const hookUrl = hookUrlOf(found, deps.publicUrl());
  checkReachable(hookUrl, found);
  const { source, secret } = await withSecret(c, deps, found, forge.kind);
  const since = await lastPosition(sql, source);
  const { signal } = c.req.raw;
  const wanted = { url: hookUrl, secret };
  const first = await forge.installWebhook({ ...wanted, knownId: source.webhookHookId }, signal);
  await noteInstalled(c, deps, { source, secret, forge, hook: first });
  await learnRepository(deps, source, forge);
  let hook = first;
  let proof = await proveWebhook(sql, source, forge, hook.id, since, signal);
  // Somebody set another secret at the host, and the host ignores ours in an edit. A hook with an unknown id is created anew.
  if (!proof.verified && proof.reason === 'unauthorized' && first.installed === 'unchanged') {
    const again = await lastPosition(sql, source);
    hook = await forge.installWebhook({ ...wanted, knownId: null }, signal);
    await noteInstalled(c, deps, { source, secret, forge, hook });
    proof = await proveWebhook(sql, source, forge, hook.id, again, signal);
  }
  const { installed, settingsUrl } = hook;
  const outcome = { verified: proof.verified, detail: proof.verified ? null : proof.detail };
  return { installed, provider: source.webhookProvider ?? forge.kind, hookUrl, settingsUrl, ...outcome };
}

/** The host's id identifies the repository in a hook, even if the host names another address than the source's URL. */
async function learnRepository({ store, log }: Deps, source: Source, forge: Forge): Promise<void> {
  try {
    const hostId = `${source.webhookProvider ?? forge.kind}:${await forge.repositoryId()}`;
    if (hostId !== source.hookRepositoryId) await noteHookRepository(store.sql, source, hostId);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    log.warn(
      { sourceId: source.id, code: error.code },
      `failed to read the id of a repository; hooks are matched by its address: ${error.message}`,
    );
  }
}

type Installation = { source: Source; secret: string; forge: Forge; hook: InstalledHook };

async function noteInstalled(c: Context<Env>, { store, box }: Deps, { source, secret, forge, hook }: Installation): Promise<void> {
  const { installed, settingsUrl } = hook;
  const { id, organizationId } = source;
  const what = { action: 'source.webhook', subject: `source:${id}`, detail: { installed, provider: forge.kind, settingsUrl } };
  await audited(callerOf(c), store, what, async ({ tx, emit }) => {
    const now = await lockSource(tx, id);
    if (now === undefined) throw notFound('source', id);
    if (now.url !== source.url || openHookSecret(box, now) !== secret)
      throw conflict('source_changed', `Cannot finish the webhook of source "${now.name}": it was changed meanwhile; try again`);
    await noteWebhook(tx, now, hook.id);
    emit({ organizationId, type: 'source.webhook_installed', subject: `source:${id}`, data: { ...what.detail } });
  });
}

/** A git host elsewhere cannot reach an address of this machine. Most hosts refuse such an address without a reason. */
function checkReachable(hookUrl: string, source: Source): void {
  const isLocal = (url: string) => /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname);
  if (!isLocal(hookUrl) || isLocal(source.url)) return;
  const detail = `Cannot install the webhook of source "${source.name}": its git host cannot reach "${hookUrl}"; set PUBLIC_URL to where it can`;
  throw new Problem('public_url_missing', detail);
}

/**
 * The secret of the hook. A new secret is stored before the host gets it, so that the host's first request is verified with it. If the
 * installation fails after that, the next call uses the stored secret.
 */
async function withSecret(
  c: Context<Env>,
  { store, box }: Deps,
  found: Source,
  kind: ForgeKind,
): Promise<{ source: Source; secret: string }> {
  checkProvider(found, kind);
  const known = openHookSecret(box, found);
  if (known !== null) return { source: found, secret: known };
  const { id, organizationId } = found;
  const what = { action: 'source.change', subject: `source:${id}`, detail: { fields: ['webhook'] } };
  return audited(callerOf(c), store, what, async ({ tx, emit }) => {
    const source = await lockSource(tx, id);
    if (source === undefined) throw notFound('source', id);
    checkProvider(source, kind);
    const made = openHookSecret(box, source);
    if (made !== null) return { source, secret: made };
    const secret = randomBytes(32).toString('base64url');
    const changed = { ...source, ...webhookSettings(box, id, { provider: kind, secret }) };
    await updateSource(tx, changed, false);
    emit({ organizationId, type: 'source.changed', subject: `source:${id}`, data: { fields: ['webhook'] } });
    return { source: changed, secret };
  });
}

/** Forgejo sends the headers of Gitea beside its own. */
const SAME: Partial<Record<string, ForgeKind>> = { gitea: 'forgejo', forgejo: 'gitea' };

function checkProvider({ name, webhookProvider: provider }: Source, kind: ForgeKind): void {
  if (provider === null || provider === kind || SAME[provider] === kind) return;
  throw conflict(
    'webhook_of_another_provider',
    `Cannot install the webhook of source "${name}": it is set up for provider "${provider}", its git host is "${kind}"; remove "webhook" first`,
  );
}
