import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import type { Db } from '../../db/connect.ts';
import { deleteEnrolmentTokensOfSite } from '../../device/store/keys.ts';
import { conflict, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { body, decodeIdCursor, json, PageQuery, problems } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { deleteSite, insertSite, listSites, lockSite, renameSite, type Site as StoredSite } from '../../organization/store.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { FIRST_ID, listRoute, readPage } from '../list.ts';

type Deps = { store: Store };

export const siteRoutes = (deps: Deps) => mount(listAll(deps), create(deps), rename(deps), remove(deps));

const tags = ['Devices'];
const Site = z
  .object({
    id: z.string(),
    name: z.string(),
    devices: z.number().int().openapi({ description: 'Devices that stand there' }),
    createdAt: z.iso.datetime(),
  })
  .openapi('Site');
const SiteParams = z.object({ id: z.uuid() });
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
      return c.json(view({ ...site, devices: 0 }), 201);
    },
  );

const rename = ({ store }: Deps) =>
  operation(
    createRoute({
      method: 'patch',
      path: '/sites/{id}',
      tags,
      middleware: [role('operator')] as const,
      request: { params: SiteParams, body: body(NewSite) },
      responses: { 200: json(Site, 'Renamed; folders that depend on the name are evaluated again'), ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { name } = c.req.valid('json');
      const { organizationId } = c.get('actor');
      const entry = { action: 'site.rename', subject: `site:${id}`, detail: { name } };
      const site = await audited(callerOf(c), store, entry, async ({ tx, emit }) => {
        const present = await lockFoundSite(tx, organizationId, id);
        if (!(await renameSite(tx, organizationId, { id, name })))
          throw conflict('name_taken', `Cannot rename site "${present.name}" to "${name}": there is one of that name`);
        if (name !== present.name)
          emit({ organizationId, type: 'site.renamed', subject: `site:${id}`, data: { name, from: present.name } });
        return { ...present, name };
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
      request: { params: SiteParams },
      responses: { 204: { description: 'Deleted, with the enrolment tokens that put devices there' }, ...problems },
    }),
    async (c) => {
      const { id } = c.req.valid('param');
      const { organizationId } = c.get('actor');
      await audited(callerOf(c), store, { action: 'site.delete', subject: `site:${id}` }, async ({ tx, emit }) => {
        const { name, devices } = await lockFoundSite(tx, organizationId, id);
        if (devices > 0)
          throw conflict(
            'site_in_use',
            `Cannot delete site "${name}": ${devices} ${devices === 1 ? 'device stands' : 'devices stand'} there; move them first`,
          );
        await deleteEnrolmentTokensOfSite(tx, organizationId, id);
        await deleteSite(tx, organizationId, id);
        emit({ organizationId, type: 'site.deleted', subject: `site:${id}`, data: { name } });
      });
      return c.body(null, 204);
    },
  );

/** @throws Problem `not_found` */
async function lockFoundSite(tx: Db, organizationId: string, id: string): Promise<StoredSite & { devices: number }> {
  const site = await lockSite(tx, organizationId, id);
  if (site === undefined) throw notFound('site', id);
  return site;
}

function view({ id, name, devices, createdAt }: StoredSite & { devices: number }): z.output<typeof Site> {
  return { id, name, devices, createdAt: createdAt.toISOString() };
}
