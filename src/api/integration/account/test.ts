import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { auditAttempt, audited } from '../../../audit/audited.ts';
import type { SecretBox } from '../../../crypto/secret-box.ts';
import { Problem } from '../../../errors.ts';
import type { Store } from '../../../event/transact.ts';
import { body, json, problems } from '../../../http/kit.ts';
import { openCredentials } from '../../../integration/credentials.ts';
import type { Integration } from '../../../integration/integration.ts';
import type { PlatformDeps } from '../../../integration/open.ts';
import { type Probe, probePlatform } from '../../../integration/probe.ts';
import { unblock } from '../../../integration/store/services.ts';
import { mayActAs } from '../../../organization/organization.ts';
import { callerOf, type Env, mountOn, operation, role } from '../../env.ts';
import { apiOf, findIntegration } from '../find.ts';
import { IntegrationId } from '../integrations.ts';
import { Credentials, IntegrationTest, iso, NewIntegrationBody } from '../schemas.ts';
import { checkOrigin } from './settings.ts';

type Deps = { store: Store; box: SecretBox; platforms: PlatformDeps };

/** Tries the settings of an integration at its platform. Stores no settings. */
export const integrationTestRoutes = (deps: Deps) => mountOn(apiOf(deps), testNew(deps), testStored(deps));

const tags = ['Integrations'];
const NewTest = NewIntegrationBody.pick({ type: true, settings: true, credentials: true }).openapi('NewIntegrationTest');
const StoredTest = z
  .strictObject({ settings: NewIntegrationBody.shape.settings.unwrap().optional(), credentials: Credentials.optional() })
  .openapi('StoredIntegrationTest');

const testNew = ({ store, platforms }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/integrations/test',
      tags,
      description: 'Before an integration is created. Shows the account and a sample of its devices.',
      middleware: [role('admin')] as const,
      request: { body: body(NewTest) },
      responses: { 200: json(IntegrationTest, "The platform's answer"), ...problems },
    }),
    async (c) => {
      const { type, settings, credentials } = c.req.valid('json');
      const name = platforms.providers.of(type).title;
      const answer = await tried(() => probePlatform(platforms, { name, type, settings }, credentials, c.req.raw.signal));
      await auditAttempt(
        callerOf(c),
        store.sql,
        { action: 'integration.test', subject: `integration:new`, detail: { type } },
        outcome(answer),
      );
      return c.json(answer, 200);
    },
  );

const testStored = ({ store, box, platforms }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/integrations/{id}/test',
      tags,
      description:
        'With the stored settings and credentials, or with given ones in their place, which takes role "admin". Success with the stored ones ends a block.',
      middleware: [role('operator')] as const,
      request: { params: IntegrationId, body: { ...body(StoredTest), required: false } },
      responses: { 200: json(IntegrationTest, "The platform's answer"), ...problems },
    }),
    async (c) => {
      const actor = c.get('actor');
      const integration = await findIntegration(store.sql, actor.organizationId, c.req.valid('param').id);
      const given = c.req.header('content-type') === undefined ? {} : c.req.valid('json');
      const { settings = integration.settings, credentials } = given;
      if (Object.keys(given).length > 0 && !mayActAs(actor.role, 'admin'))
        throw new Problem(
          'forbidden',
          `Cannot test other settings than the stored ones: the token has role "${actor.role}", must have "admin"`,
        );
      if (credentials === undefined) checkOrigin(integration, settings);
      const used = credentials ?? openCredentials(box, integration);
      const answer = await tried(() => probePlatform(platforms, { ...integration, settings }, used, c.req.raw.signal));
      await auditAttempt(
        callerOf(c),
        store.sql,
        { action: 'integration.test', subject: `integration:${integration.slug}` },
        outcome(answer),
      );
      const isStored = Object.keys(given).length === 0;
      if (answer.ok && isStored && integration.blockedReason !== null) await endBlock(c, store, integration);
      return c.json(answer, 200);
    },
  );

/** The platform takes the stored credentials again: nobody has to enter them once more. */
async function endBlock(c: Context<Env>, store: Store, integration: Integration): Promise<void> {
  const entry = { action: 'integration.unblock', subject: `integration:${integration.slug}` };
  await audited(callerOf(c), store, entry, async ({ tx, enqueue }) => {
    if ((await unblock(tx, integration)) && integration.isActive && integration.autoSync) enqueue('integration', integration.id);
  });
}

type Answer = z.output<typeof IntegrationTest>;

/** A refusal of the platform is the answer, not an error of the service. */
async function tried(probe: () => Promise<Probe>): Promise<Answer> {
  const started = performance.now();
  const durationMs = () => Math.round(performance.now() - started);
  try {
    const { account, devices, sample, gaps } = await probe();
    const shown = sample.map(({ externalId, values, connectivity, lastSeenAt }) => ({
      ...{ externalId, connectivity, values, lastSeenAt: iso(lastSeenAt) },
      name: typeof values.name === 'string' ? values.name : null,
    }));
    return { ok: true, account, devices, sample: shown, gaps, error: null, durationMs: durationMs() };
  } catch (error) {
    if (!(error instanceof Problem) || error.code === 'invalid_request') throw error;
    const failure = { code: error.code, detail: error.message };
    return { ok: false, account: null, devices: null, sample: [], gaps: [], error: failure, durationMs: durationMs() };
  }
}

const outcome = ({ ok }: Answer) => (ok ? 'ok' : 'failed');
