import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { hashToken, last4, mintToken } from '../../crypto/tokens.ts';
import { insertEnrolmentToken } from '../../device/store/keys.ts';
import { conflict, notFound } from '../../errors.ts';
import { body, decodeIdCursor, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { ROLES } from '../../organization/organization.ts';
import {
  insertSite,
  insertToken,
  isLastAdmin,
  listSites,
  listTokens,
  revokeToken,
  type Site as StoredSite,
  type Token,
} from '../../organization/store.ts';
import { checkTargets } from '../../organization/targets.ts';
import { Labels } from '../../wire/agent.ts';
import { callerOf, createApi, role } from '../env.ts';
import type { Services } from '../services.ts';

const time = z.iso.datetime();
const TokenView = z
  .object({
    id: z.string(),
    name: z.string(),
    email: z.string().nullable(),
    role: z.enum(ROLES),
    last4: z.string(),
    createdAt: time,
    lastUsedAt: time.nullable(),
  })
  .openapi('Token');
const MintedToken = TokenView.extend({ token: z.string().openapi({ description: 'Shown this once' }) }).openapi('MintedToken');
const NewToken = z
  .strictObject({
    name: z.string().trim().min(1).max(200),
    email: z
      .email()
      .max(254)
      .nullable()
      .default(null)
      .openapi({ description: 'Of the person whose token it is: approvals compare it with the author of the commit' }),
    role: z.enum(ROLES),
  })
  .openapi('NewToken');
const Site = z.object({ id: z.string(), name: z.string(), createdAt: time }).openapi('Site');
const NewSite = z.strictObject({ name: z.string().trim().min(1).max(200) }).openapi('NewSite');
const NewEnrolmentToken = z
  .strictObject({
    uses: z.number().int().min(1).max(100_000).default(1),
    expiresInSeconds: z
      .number()
      .int()
      .min(60)
      .max(365 * 86_400)
      .default(86_400),
    siteId: z.uuid().nullable().default(null),
    sourceId: z.uuid().nullable().default(null).openapi({ description: 'Devices that enrol follow this source' }),
    labels: Labels.default({}),
    reenrol: z.boolean().default(false).openapi({
      description: 'Lets devices of its source and site in again that are registered already: whoever has the token can take their place',
    }),
  })
  .openapi('NewEnrolmentToken');
const MintedEnrolmentToken = z
  .object({ id: z.string(), token: z.string(), expiresAt: time, uses: z.number().int() })
  .openapi('MintedEnrolmentToken');

function viewToken(token: Token): z.output<typeof TokenView> {
  return { ...token, createdAt: token.createdAt.toISOString(), lastUsedAt: token.lastUsedAt?.toISOString() ?? null };
}

function viewSite(site: StoredSite): z.output<typeof Site> {
  return { ...site, createdAt: site.createdAt.toISOString() };
}

/** Tokens, enrolment tokens and sites. */
export function organizationRoutes({ store }: Services) {
  const { sql } = store;
  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/tokens',
        tags: ['Tokens'],
        middleware: [role('admin')] as const,
        request: { query: PageQuery },
        responses: { 200: json(page(TokenView), 'Tokens that work'), ...problems },
      }),
      async (c) => {
        const { limit, cursor } = c.req.valid('query');
        const rows = await listTokens(
          sql,
          c.get('actor').organizationId,
          decodeIdCursor(cursor) ?? '00000000-0000-0000-0000-000000000000',
          limit + 1,
        );
        return c.json(
          toPage(rows, limit, (token) => token.id, viewToken),
          200,
        );
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/tokens',
        tags: ['Tokens'],
        middleware: [role('admin')] as const,
        request: { body: body(NewToken) },
        responses: { 201: json(MintedToken, 'Minted, shown this once'), ...problems },
      }),
      async (c) => {
        const wanted = c.req.valid('json');
        const id = newId();
        const token = mintToken('token');
        const stored = await audited(callerOf(c), store, { action: 'token.create', subject: `token:${id}`, detail: wanted }, ({ tx }) =>
          insertToken(tx, c.get('actor').organizationId, { id, ...wanted, hash: hashToken(token), last4: last4(token) }),
        );
        return c.json({ ...viewToken(stored), token }, 201);
      },
    )
    .openapi(
      createRoute({
        method: 'delete',
        path: '/tokens/{id}',
        tags: ['Tokens'],
        middleware: [role('admin')] as const,
        request: { params: z.object({ id: z.uuid() }) },
        responses: { 204: { description: 'Revoked' }, ...problems },
      }),
      async (c) => {
        const { id } = c.req.valid('param');
        await audited(callerOf(c), store, { action: 'token.revoke', subject: `token:${id}` }, async ({ tx }) => {
          if (await isLastAdmin(tx, c.get('actor').organizationId, id))
            throw conflict('last_admin', `Cannot revoke token "${id}": it is the last admin token; create another admin token first`);
          if (!(await revokeToken(tx, c.get('actor').organizationId, id))) throw notFound('token', id);
        });
        return c.body(null, 204);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/enrolment-tokens',
        tags: ['Tokens'],
        middleware: [role('operator')] as const,
        request: { body: body(NewEnrolmentToken) },
        responses: { 201: json(MintedEnrolmentToken, 'Minted, shown this once'), ...problems },
      }),
      async (c) => {
        const { expiresInSeconds, uses, ...wanted } = c.req.valid('json');
        const { organizationId } = c.get('actor');
        const token = mintToken('enrolment');
        const id = newId();
        const expiresAt = new Date(Date.now() + expiresInSeconds * 1000);
        await audited(
          callerOf(c),
          store,
          { action: 'enrolment_token.create', subject: `enrolment-token:${id}`, detail: { uses, ...wanted } },
          async ({ tx }) => {
            await checkTargets(tx, organizationId, wanted);
            await insertEnrolmentToken(tx, { organizationId, id, ...wanted, hash: hashToken(token), last4: last4(token), uses, expiresAt });
          },
        );
        return c.json({ id, token, expiresAt: expiresAt.toISOString(), uses }, 201);
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/sites',
        tags: ['Devices'],
        middleware: [role('viewer')] as const,
        request: { query: PageQuery },
        responses: { 200: json(page(Site), 'Sites'), ...problems },
      }),
      async (c) => {
        const { limit, cursor } = c.req.valid('query');
        const after = decodeIdCursor(cursor) ?? '00000000-0000-0000-0000-000000000000';
        const rows = await listSites(sql, c.get('actor').organizationId, after, limit + 1);
        return c.json(
          toPage(rows, limit, (site) => site.id, viewSite),
          200,
        );
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/sites',
        tags: ['Devices'],
        middleware: [role('operator')] as const,
        request: { body: body(NewSite) },
        responses: { 201: json(Site, 'Created'), ...problems },
      }),
      async (c) => {
        const { name } = c.req.valid('json');
        const { organizationId } = c.get('actor');
        const id = newId();
        const site = await audited(callerOf(c), store, { action: 'site.create', subject: `site:${id}`, detail: { name } }, async (unit) => {
          const stored = await insertSite(unit.tx, organizationId, { id, name });
          if (stored === undefined) throw conflict('name_taken', `Cannot create site "${name}": there is one of that name`);
          unit.emit({ organizationId, type: 'site.created', subject: `site:${id}`, data: { name } });
          return stored;
        });
        return c.json(viewSite(site), 201);
      },
    );
}
