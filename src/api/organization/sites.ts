import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { conflict } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, decodeIdCursor, json, PageQuery, problems } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { FIRST_ID, listRoute, readPage } from '../list.ts';

type Deps = { store: Store };

export const siteRoutes = (deps: Deps) => mount(listAll(deps), create(deps));

const tags = ['Devices'];
const Site = z.object({ id: z.string(), name: z.string(), createdAt: z.iso.datetime() }).openapi('Site');
const NewSite = z.strictObject({ name: z.string().trim().min(1).max(200) }).openapi('NewSite');

const listAll = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({ path: '/sites', tags, role: 'viewer', request: { query: PageQuery }, item: Site, description: 'Sites' }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const answer = await readPage(c.req.valid('query'), {
        after: (cursor) => decodeIdCursor(cursor) ?? FIRST_ID,
        rows: (after, limit) => sql<{ id: string; name: string; createdAt: Date }[]>`
          select id, name, created_at as "createdAt" from sites where organization_id = ${organizationId} and id > ${after} order by id limit ${limit}`,
        key: (site) => site.id,
        view: (site) => ({ ...site, createdAt: site.createdAt.toISOString() }),
      });
      return c.json(answer, 200);
    },
  );

const create = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sites',
      tags,
      middleware: [role('operator')] as const,
      request: { body: body(NewSite) },
      responses: { 201: json(Site, 'Created'), ...problems },
    }),
    async (c) => {
      const { name } = c.req.valid('json');
      const { organizationId } = c.get('actor');
      const id = newId();
      await audited(callerOf(c), store, { action: 'site.create', subject: `site:${id}`, detail: { name } }, async ({ tx }) => {
        const result =
          await tx`insert into sites (organization_id, id, name) values (${organizationId}, ${id}, ${name}) on conflict (organization_id, name) do nothing`;
        if (result.count === 0) throw conflict('name_taken', `Cannot create site "${name}": there is one of that name`);
      });
      return c.json({ id, name, createdAt: new Date().toISOString() }, 201);
    },
  );
