import { randomBytes } from 'node:crypto';
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { auditAttempt, audited } from '../../../audit/audited.ts';
import type { SecretBox } from '../../../crypto/secret-box.ts';
import { messageOf, Problem, reworded } from '../../../errors.ts';
import type { Store } from '../../../event/transact.ts';
import { body, etagOf, json, problems } from '../../../http/kit.ts';
import { sealCredentials, sealHookSecret } from '../../../integration/credentials.ts';
import { eventOf, type Integration } from '../../../integration/integration.ts';
import type { PlatformDeps } from '../../../integration/open.ts';
import { probePlatform } from '../../../integration/probe.ts';
import { checkAccount } from '../../../integration/settings/account.ts';
import { replaceCredentials, replaceHookSecret } from '../../../integration/store/services.ts';
import { secretText } from '../../../wire/text/secret-text.ts';
import { callerOf, type Env, mountOn, operation, role } from '../../env.ts';
import { apiOf, findIntegration, lockMatching } from '../find.ts';
import { IntegrationId, isDue } from '../integrations.ts';
import { Credentials, hookUrlOf, IntegrationView, viewIntegration } from '../schemas.ts';

type Deps = { store: Store; box: SecretBox; platforms: PlatformDeps; publicUrl(): string };

/** Rotation of an integration's secrets. Devices, base values and history stay. */
export const integrationSecretRoutes = (deps: Deps) => mountOn(apiOf(deps), rotate(deps), renewHookSecret(deps));

const tags = ['Integrations'];
const NewCredentials = z
  .strictObject({
    credentials: Credentials,
    force: z.boolean().default(false).openapi({ description: 'Stores them without a test, as while the platform is away' }),
  })
  .openapi('NewIntegrationCredentials');
const NewHookSecret = z
  .strictObject({
    secret: secretText({ min: 16, max: 500 })
      .optional()
      .openapi({ description: 'Default: a new random one', example: 'from-the-platform-0123' }),
  })
  .openapi('NewIntegrationHookSecret');
const HookSecret = z
  .object({ secret: z.string().openapi({ description: 'Shown only once' }), hookUrl: z.string() })
  .openapi('IntegrationHookSecret');

const rotate = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/integrations/{id}/credentials',
      tags,
      description: 'Tests the new credentials at the platform and stores them if it takes them. Ends a block; a sync runs at once.',
      middleware: [role('admin')] as const,
      request: { params: IntegrationId, body: body(NewCredentials) },
      responses: {
        200: json(IntegrationView, 'Stored'),
        ...problems,
        502: { ...problems[503], description: 'The platform fails; force stores them all the same' },
        504: { ...problems[503], description: 'The platform does not answer; force stores them all the same' },
      },
    }),
    async (c) => {
      const { store, box, platforms, publicUrl } = deps;
      const { organizationId } = c.get('actor');
      const { credentials: given, force } = c.req.valid('json');
      const integration = await findIntegration(store.sql, organizationId, c.req.valid('param').id);
      const { credentials } = checkAccount(platforms.providers.of(integration.type), { ...integration, credentials: given });
      if (!force) await testFirst(c, deps, integration, credentials);
      const entry = { action: 'integration.rotate_credentials', subject: `integration:${integration.slug}`, detail: { force } };
      const after = await audited(callerOf(c), store, entry, async ({ tx, emit, enqueue }) => {
        const locked = await lockMatching(c, tx, organizationId, integration.id);
        const renewed = await replaceCredentials(tx, locked, sealCredentials(box, locked.id, credentials));
        emit(eventOf(renewed, 'integration.changed', { name: renewed.name, fields: ['credentials'] }));
        if (isDue(renewed)) enqueue('integration', renewed.id);
        return renewed;
      });
      platforms.isolation.reset(integration.id);
      return c.json(viewIntegration(after, publicUrl()), 200, { etag: etagOf(after.version) });
    },
  );

/** @throws Problem of the platform, with what to do next */
async function testFirst(c: Context<Env>, { store, platforms }: Deps, integration: Integration, credentials: unknown): Promise<void> {
  try {
    await probePlatform(platforms, integration, credentials, c.req.raw.signal);
  } catch (error) {
    const { slug } = integration;
    const entry = { action: 'integration.rotate_credentials', subject: `integration:${slug}`, detail: { error: messageOf(error) } };
    await auditAttempt(callerOf(c), store.sql, entry, 'failed');
    if (!(error instanceof Problem)) throw error;
    throw reworded(error, { message: `${error.message}; the stored credentials stay, "force": true replaces them untested` });
  }
}

const renewHookSecret = ({ store, box, publicUrl }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/integrations/{id}/hook-secret',
      tags,
      description: 'Replaces the secret that hooks of the platform must prove. The old one stops at once.',
      middleware: [role('admin')] as const,
      request: { params: IntegrationId, body: body(NewHookSecret) },
      responses: { 201: json(HookSecret, 'The new secret'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { id } = c.req.valid('param');
      const secret = c.req.valid('json').secret ?? randomBytes(32).toString('base64url');
      const entry = ({ slug }: Integration) => ({ action: 'integration.replace_hook_secret', subject: `integration:${slug}` });
      const after = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const locked = await lockMatching(c, tx, organizationId, id);
        const renewed = await replaceHookSecret(tx, locked, sealHookSecret(box, locked.id, secret));
        emit(eventOf(renewed, 'integration.changed', { name: renewed.name, fields: ['hookSecret'] }));
        return renewed;
      });
      return c.json({ secret, hookUrl: hookUrlOf(after.id, publicUrl()) }, 201);
    },
  );
