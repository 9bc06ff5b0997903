import { createRoute, z } from '@hono/zod-openapi';
import { devicesOfRevision } from '../../deployment/store.ts';
import { notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import { decodeTimeCursor, json, PageQuery, problems } from '../../http/kit.ts';
import { listRevisions, pathsOfRevision, revisionOf } from '../../revision/store.ts';
import { mount, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { findSource } from './find.ts';
import { RevisionDetail, RevisionView, viewRevision } from './schemas.ts';

type Deps = { store: Store };

export const revisionRoutes = (deps: Deps) => mount(listOfSource(deps), show(deps));

const Id = z.object({ id: z.uuid() });
const tags = ['Sources'];
/** One answer names at most this many folders and devices. */
const MAX_DETAIL_ROWS = 10_000;

const listOfSource = ({ store: { sql } }: Deps) =>
  operation(
    listRoute({
      path: '/sources/{id}/revisions',
      tags,
      role: 'viewer',
      request: { params: Id, query: PageQuery },
      item: RevisionView,
      description: 'Revisions, newest first',
    }),
    async (c) => {
      const source = await findSource(sql, c.get('actor').organizationId, c.req.valid('param').id);
      const answer = await readPage(c.req.valid('query'), {
        after: decodeTimeCursor,
        rows: (after, limit) => listRevisions(sql, source.organizationId, source.id, after, limit),
        key: (revision) => revision.createdAt.toISOString(),
        view: viewRevision,
      });
      return c.json(answer, 200);
    },
  );

const show = ({ store: { sql } }: Deps) =>
  operation(
    createRoute({
      method: 'get',
      path: '/revisions/{id}',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: Id },
      responses: { 200: json(RevisionDetail, 'The revision with its verdicts'), ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { id } = c.req.valid('param');
      const revision = await revisionOf(sql, organizationId, id);
      if (revision === undefined) throw notFound('revision', id);
      const paths = await pathsOfRevision(sql, organizationId, id, MAX_DETAIL_ROWS);
      const devices = await devicesOfRevision(sql, organizationId, id, MAX_DETAIL_ROWS);
      return c.json({ ...viewRevision(revision), paths, devices }, 200);
    },
  );
