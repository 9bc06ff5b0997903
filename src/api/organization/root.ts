import { createRoute, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { audit } from '../../audit/store.ts';
import type { Config } from '../../config.ts';
import { hashToken, last4, mintToken, tokenKind, tokenMatches } from '../../crypto/tokens.ts';
import type { Sql, Tx } from '../../db/connect.ts';
import { announceEndedKeys } from '../../device/store/keys.ts';
import { conflict, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { senderOf } from '../../http/address.ts';
import { bearerOf, unauthorized } from '../../http/bearer.ts';
import { body, decodeCursor, json, PageQuery, page, problems } from '../../http/kit.ts';
import { limitBody, limitDepth } from '../../http/limits.ts';
import { type RateLimits, refuse } from '../../http/rate-limit.ts';
import { newId } from '../../ids.ts';
import {
  insertOrganization,
  insertToken,
  listOrganizations,
  type Organization,
  organizationNamed,
  setDisabled,
} from '../../organization/store.ts';
import { createApi, type Env, mountOn, operation } from '../env.ts';
import { readPage } from '../list.ts';

type Deps = { store: Store };
type RootDeps = Deps & { rootTokenHash: Buffer; limits: RateLimits; config: Pick<Config, 'TRUST_PROXY'> };

/** `/organizations`: for the operator of the service, with the root token. No token of an organization opens it, not even an admin token. */
export function rootRoutes(deps: RootDeps) {
  const app = createApi();
  for (const path of ['/organizations', '/organizations/*']) app.use(path, requireRoot(deps), limitBody(), limitDepth());
  return mountOn(app, listAll(deps), create(deps), recover(deps), disable(deps), enable(deps));
}

const tags = ['Organizations'];
const security = [{ rootToken: [] }];
const Name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must have 1 to 63 of a-z, 0-9 and -, and not begin with -')
  .openapi({ example: 'another' });
const OrganizationView = z
  .object({ id: z.string(), name: z.string(), createdAt: z.iso.datetime(), disabledAt: z.iso.datetime().nullable() })
  .openapi('Organization');
const MadeOrganization = OrganizationView.extend({
  adminToken: z.string().openapi({ description: 'The first admin token, shown only once' }),
  adminTokenId: z.string(),
}).openapi('MadeOrganization');
const NewOrganization = z.strictObject({ name: Name }).openapi('NewOrganization');
const RecoveredAdmin = z.object({ adminToken: z.string(), adminTokenId: z.string() }).openapi('RecoveredAdmin');
const params = z.object({ name: Name });

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/organizations',
      tags,
      security,
      request: { query: PageQuery },
      responses: { 200: json(page(OrganizationView), 'All organizations, by name'), ...problems },
    }),
    async (c) => {
      const answer = await readPage(c.req.valid('query'), {
        after: (cursor) => decodeCursor(cursor, (text) => Name.safeParse(text).success) ?? '',
        rows: (after, limit) => listOrganizations(sql, after, limit),
        key: ({ name }) => name,
        view,
      });
      return c.json(answer, 200);
    },
  );

const create = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/organizations',
      tags,
      security,
      request: { body: body(NewOrganization) },
      responses: { 201: json(MadeOrganization, 'Created, with its first admin token'), ...problems },
    }),
    async (c) => {
      const { name } = c.req.valid('json');
      const made = await sql.begin(async (tx) => {
        const organization = await insertOrganization(tx, newId(), name);
        if (organization === undefined) throw conflict('name_taken', `Cannot create organization "${name}": there is one of that name`);
        await auditRoot(tx, c, organization.id, 'organization.create', `organization:${name}`);
        return { ...view(organization), ...(await mintAdmin(tx, c, organization.id)) };
      });
      return c.json(made, 201);
    },
  );

const recover = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/organizations/{name}/admin-tokens',
      tags,
      security,
      request: { params },
      responses: {
        201: json(RecoveredAdmin, 'Another admin token, shown only once, for an organization whose tokens are lost'),
        ...problems,
      },
    }),
    async (c) => {
      const { name } = c.req.valid('param');
      const minted = await sql.begin(async (tx) => mintAdmin(tx, c, (await findOrganization(tx, name)).id));
      return c.json(minted, 201);
    },
  );

const disable = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/organizations/{name}/disable',
      tags,
      security,
      request: { params },
      responses: { 200: json(OrganizationView, 'Its tokens, device keys and webhooks are refused; no data is removed'), ...problems },
    }),
    async (c) => c.json(await toggle(sql, c, c.req.valid('param').name, true), 200),
  );

const enable = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/organizations/{name}/enable',
      tags,
      security,
      request: { params },
      responses: { 200: json(OrganizationView, 'Its tokens, device keys and webhooks work again'), ...problems },
    }),
    async (c) => c.json(await toggle(sql, c, c.req.valid('param').name, false), 200),
  );

async function toggle(sql: Sql, c: Context<Env>, name: string, isDisabled: boolean): Promise<z.output<typeof OrganizationView>> {
  return sql.begin(async (tx) => {
    const { id } = await findOrganization(tx, name);
    const organization = await setDisabled(tx, id, isDisabled);
    // Every process forgets the device keys that it has verified.
    await announceEndedKeys(tx);
    await auditRoot(tx, c, id, isDisabled ? 'organization.disable' : 'organization.enable', `organization:${name}`);
    return view(organization);
  });
}

function requireRoot({ rootTokenHash, limits, config }: RootDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const token = bearerOf(c.req.header('authorization')) ?? '';
    if (!tokenMatches(token, rootTokenHash)) refuse(limits, senderOf(c, config.TRUST_PROXY), unauthorized(whatIsWanted(token)));
    await next();
  };
}

function whatIsWanted(token: string): string {
  const wanted = 'send the root token as "Authorization: Bearer <token>"; it stands in DATA_DIR/root-token or BELLWETHER_ROOT_TOKEN';
  return tokenKind(token) === 'token' ? `the token sent is an API token, which opens one organization alone; ${wanted}` : wanted;
}

async function findOrganization(tx: Tx, name: string): Promise<Organization> {
  const organization = await organizationNamed(tx, name);
  if (organization === undefined) throw notFound('organization', name);
  return organization;
}

async function mintAdmin(tx: Tx, c: Context<Env>, organizationId: string): Promise<z.output<typeof RecoveredAdmin>> {
  const [id, token] = [newId(), mintToken('token')];
  await insertToken(tx, organizationId, { id, name: 'admin', role: 'admin', hash: hashToken(token), last4: last4(token) });
  await auditRoot(tx, c, organizationId, 'token.create', `token:${id}`);
  return { adminToken: token, adminTokenId: id };
}

/** Writes into the audit log of the organization, so that its own admins see what the root token did. */
async function auditRoot(tx: Tx, c: Context<Env>, organizationId: string, action: string, subject: string): Promise<void> {
  await audit(tx, { organizationId, actor: 'root', action, subject, outcome: 'ok', detail: { requestId: c.get('requestId') } });
}

function view({ id, name, createdAt, disabledAt }: Organization): z.output<typeof OrganizationView> {
  return { id, name, createdAt: createdAt.toISOString(), disabledAt: disabledAt?.toISOString() ?? null };
}
