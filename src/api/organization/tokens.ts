import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { hashToken, last4, mintToken } from '../../crypto/tokens.ts';
import { deleteEnrolmentToken, insertEnrolmentToken, listEnrolmentTokens } from '../../device/store/keys.ts';
import { conflict, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, decodeIdCursor, json, PageQuery, problems } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { ROLES } from '../../organization/organization.ts';
import { insertToken, isLastAdmin, listTokens, revokeToken, type Token } from '../../organization/store.ts';
import { checkTargets } from '../../organization/targets.ts';
import { Labels } from '../../wire/agent.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { FIRST_ID, listRoute, readPage } from '../list.ts';

type Deps = { store: Store };

/** Tokens of people and programs, and tokens that devices enrol with. */
export const tokenRoutes = (deps: Deps) =>
  mount(listAll(deps), create(deps), revoke(deps), createForEnrolment(deps), listForEnrolment(deps), revokeForEnrolment(deps));

const tags = ['Tokens'];
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
const MintedToken = TokenView.extend({ token: z.string().openapi({ description: 'Shown only once' }) }).openapi('MintedToken');
const NewToken = z
  .strictObject({
    name: z.string().trim().min(1).max(200),
    email: z
      .email()
      .max(254)
      .nullable()
      .default(null)
      .openapi({ description: 'Address of the owner; approvals compare it with the author of the commit' }),
    role: z.enum(ROLES),
  })
  .openapi('NewToken');
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
      description: 'Admits registered devices of its source and site again: the owner of the token can take their place',
    }),
  })
  .openapi('NewEnrolmentToken');
const MintedEnrolmentToken = z
  .object({ id: z.string(), token: z.string(), expiresAt: time, uses: z.number().int() })
  .openapi('MintedEnrolmentToken');

const EnrolmentTokenView = z
  .object({
    id: z.string(),
    last4: z.string(),
    usesLeft: z.number().int(),
    siteId: z.string().nullable(),
    sourceId: z.string().nullable(),
    labels: Labels,
    reenrol: z.boolean(),
    createdAt: time,
    expiresAt: time,
  })
  .openapi('EnrolmentToken');

const listAll = ({ store }: Deps) =>
  operation(
    listRoute({ path: '/tokens', tags, role: 'admin', request: { query: PageQuery }, item: TokenView, description: 'Valid tokens' }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const answer = await readPage(c.req.valid('query'), {
        after: (cursor) => decodeIdCursor(cursor) ?? FIRST_ID,
        rows: (after, limit) => listTokens(store.sql, organizationId, after, limit),
        key: (token) => token.id,
        view,
      });
      return c.json(answer, 200);
    },
  );

const create = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/tokens',
      tags,
      middleware: [role('admin')] as const,
      request: { body: body(NewToken) },
      responses: { 201: json(MintedToken, 'Created, shown only once'), ...problems },
    }),
    async (c) => {
      const wanted = c.req.valid('json');
      const { organizationId } = c.get('actor');
      const [id, token] = [newId(), mintToken('token')];
      const entry = { action: 'token.create', subject: `token:${id}`, detail: wanted };
      const stored = await audited(callerOf(c), store, entry, ({ tx }) =>
        insertToken(tx, organizationId, { id, ...wanted, hash: hashToken(token), last4: last4(token) }),
      );
      return c.json({ ...view(stored), token }, 201);
    },
  );

const revoke = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/tokens/{id}',
      tags,
      middleware: [role('admin')] as const,
      request: { params: z.object({ id: z.uuid() }) },
      responses: { 204: { description: 'Revoked' }, ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { organizationId } = c.get('actor');
      await audited(callerOf(c), store, { action: 'token.revoke', subject: `token:${id}` }, async ({ tx }) => {
        if (await isLastAdmin(tx, organizationId, id))
          throw conflict('last_admin', `Cannot revoke token "${id}": it is the last admin token; create another admin token first`);
        if (!(await revokeToken(tx, organizationId, id))) throw notFound('token', id);
      });
      return c.body(null, 204);
    },
  );

const createForEnrolment = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/enrolment-tokens',
      tags,
      middleware: [role('operator')] as const,
      request: { body: body(NewEnrolmentToken) },
      responses: { 201: json(MintedEnrolmentToken, 'Created, shown only once'), ...problems },
    }),
    async (c) => {
      const { expiresInSeconds, uses, ...wanted } = c.req.valid('json');
      const { organizationId } = c.get('actor');
      const [id, token] = [newId(), mintToken('enrolment')];
      const expiresAt = new Date(Date.now() + expiresInSeconds * 1000);
      const entry = { action: 'enrolment_token.create', subject: `enrolment-token:${id}`, detail: { uses, ...wanted } };
      await audited(callerOf(c), store, entry, async ({ tx }) => {
        await checkTargets(tx, organizationId, wanted);
        await insertEnrolmentToken(tx, { organizationId, id, ...wanted, hash: hashToken(token), last4: last4(token), uses, expiresAt });
      });
      return c.json({ id, token, expiresAt: expiresAt.toISOString(), uses }, 201);
    },
  );

const listForEnrolment = ({ store }: Deps) =>
  operation(
    listRoute({
      path: '/enrolment-tokens',
      tags,
      role: 'operator',
      request: { query: PageQuery },
      item: EnrolmentTokenView,
      description: 'Enrolment tokens that have not expired, without their secrets',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const answer = await readPage(c.req.valid('query'), {
        after: (cursor) => decodeIdCursor(cursor) ?? FIRST_ID,
        rows: (after, limit) => listEnrolmentTokens(store.sql, organizationId, after, limit),
        key: (token) => token.id,
        view: ({ organizationId: _organizationId, createdAt, expiresAt, ...token }) => ({
          ...token,
          createdAt: createdAt.toISOString(),
          expiresAt: expiresAt.toISOString(),
        }),
      });
      return c.json(answer, 200);
    },
  );

const revokeForEnrolment = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/enrolment-tokens/{id}',
      tags,
      middleware: [role('operator')] as const,
      request: { params: z.object({ id: z.uuid() }) },
      responses: { 204: { description: 'Revoked; devices that enrolled with it keep their keys' }, ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { organizationId } = c.get('actor');
      const entry = { action: 'enrolment_token.revoke', subject: `enrolment-token:${id}` };
      await audited(callerOf(c), store, entry, async ({ tx }) => {
        if (!(await deleteEnrolmentToken(tx, organizationId, id))) throw notFound('enrolment token', id);
      });
      return c.body(null, 204);
    },
  );

function view(token: Token): z.output<typeof TokenView> {
  return { ...token, createdAt: token.createdAt.toISOString(), lastUsedAt: token.lastUsedAt?.toISOString() ?? null };
}
