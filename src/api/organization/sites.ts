import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { conflict } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, decodeIdCursor, json, PageQuery, problems } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { insertSite, listSites, type Site as StoredSite } from '../../organization/store.ts';
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
        rows: (after, limit) => listSites(sql, organizationId, after, limit),
        key: (site) => site.id,
        view,
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
      const entry = { action: 'site.create', subject: `site:${id}`, detail: { name } };
      const site = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const stored = await insertSite(tx, organizationId, { id, name });
        if (stored === undefined) throw conflict('name_taken', `Cannot create site "${name}": there is one of that name`);
        emit({ organizationId, type: 'site.created', subject: `site:${id}`, data: { name } });
        return stored;
      });
      return c.json(view(site), 201);
    },
  );

function view(site: StoredSite): z.output<typeof Site> {
  return { ...site, createdAt: site.createdAt.toISOString() };
}
