import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { forgetSiteOfTokens } from '../../device/store/keys.ts';
import { conflict, notFound, type Problem } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, decodeIdCursor, json, PageQuery, problems } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { deleteSite, insertSite, listSites, lockSite, renameSite, type Site as StoredSite, usesOfSite } from '../../organization/store.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { FIRST_ID, listRoute, readPage } from '../list.ts';

type Deps = { store: Store };

export const siteRoutes = (deps: Deps) => mount(listAll(deps), create(deps), rename(deps), remove(deps));

const tags = ['Devices'];
const Id = z.object({ id: z.uuid() });
const time = z.iso.datetime();
const Site = z
  .object({
    id: z.string(),
    name: z.string(),
    hold: z.object({ at: time, by: z.string(), reason: z.string() }).nullable(),
    devices: z.number().int().openapi({ description: 'Number of its devices' }),
    createdAt: time,
  })
  .openapi('Site');
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

const rename = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'patch',
      path: '/sites/{id}',
      tags,
      middleware: [role('operator')] as const,
      description: 'Files that templates make with the name of the site change with it.',
      request: { params: Id, body: body(NewSite) },
      responses: { 200: json(Site, 'Renamed'), ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { name } = c.req.valid('json');
      const { organizationId } = c.get('actor');
      const entry = { action: 'site.rename', subject: `site:${id}`, detail: { name } };
      const site = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const before = await lockSite(tx, organizationId, id);
        if (before === undefined) throw notFound('site', id);
        const stored = await renameSite(tx, organizationId, { id, name });
        if (stored === undefined)
          throw conflict('name_taken', `Cannot rename site "${before.name}" to "${name}": there is one of that name`);
        if (before.name !== name) emit({ organizationId, type: 'site.renamed', subject: `site:${id}`, data: { from: before.name, name } });
        return stored;
      });
      return c.json(view(site), 200);
    },
  );

const remove = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/sites/{id}',
      tags,
      middleware: [role('operator')] as const,
      request: { params: Id },
      responses: { 204: { description: 'Deleted; refused while something uses the site' }, ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { organizationId } = c.get('actor');
      await audited(callerOf(c), store, { action: 'site.delete', subject: `site:${id}` }, async ({ tx, emit }) => {
        const site = await lockSite(tx, organizationId, id);
        if (site === undefined) throw notFound('site', id);
        const uses = Object.entries(await usesOfSite(tx, organizationId, id)).filter(([, count]) => count > 0);
        if (uses.length > 0) throw inUse(site.name, uses);
        await forgetSiteOfTokens(tx, organizationId, id);
        await deleteSite(tx, organizationId, id);
        emit({ organizationId, type: 'site.deleted', subject: `site:${id}`, data: { name: site.name } });
      });
      return c.body(null, 204);
    },
  );

function inUse(name: string, uses: readonly (readonly [what: string, count: number])[]): Problem {
  const listed = uses.map(([what, count]) => `${count} ${count === 1 ? what.slice(0, -1) : what}`).join(', ');
  return conflict('site_in_use', `Cannot delete site "${name}": it has ${listed}; move or remove them first`);
}

function view({ hold, createdAt, ...site }: StoredSite): z.output<typeof Site> {
  return { ...site, hold: hold && { ...hold, at: hold.at.toISOString() }, createdAt: createdAt.toISOString() };
}
