import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import { emitStanding } from '../../device/events.ts';
import { unbindSource } from '../../device/store/status.ts';
import { conflict, notFound } from '../../errors.ts';
import type { Store } from '../../event/transact.ts';
import type { GitHosts } from '../../git/hosts.ts';
import type { AddressGuard } from '../../git/http/address-guard.ts';
import { body, checkIfMatch, decodeIdCursor, etagOf, json, PageQuery, problems } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { deleteSource, endQuiet, insertSource, listSources, sourceOf, updateSource } from '../../source/store.ts';
import { callerOf, mount, operation, role } from '../env.ts';
import { listRoute, readPage } from '../list.ts';
import { testNew, testStored } from './connection.ts';
import { findSource, lockFoundSource } from './find.ts';
import { NewSource, SourceChange, SourceView, viewSource } from './schemas.ts';
import { checkForgeOrigin, followsAnother, settingsAfter, settingsOfNew } from './settings.ts';

type Reader = { store: Store; publicUrl(): string };
type Writer = Reader & { box: SecretBox; config: Config };

type Deps = Writer & { guard: AddressGuard; hosts: GitHosts };

export const sourceRoutes = (deps: Deps) =>
  mount(listAll(deps), create(deps), show(deps), change(deps), remove(deps), sync(deps), testNew(deps), testStored(deps));

const Id = z.object({ id: z.uuid() });
const tags = ['Sources'];

const listAll = ({ store, publicUrl }: Reader) =>
  operation(
    listRoute({
      path: '/sources',
      tags,
      role: 'viewer',
      request: { query: PageQuery },
      item: SourceView,
      description: 'Sources, oldest first',
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const answer = await readPage(c.req.valid('query'), {
        after: decodeIdCursor,
        rows: (after, limit) => listSources(store.sql, organizationId, after, limit),
        key: (source) => source.id,
        view: (source) => viewSource(source, publicUrl()),
      });
      return c.json(answer, 200);
    },
  );

const create = ({ store, box, config, publicUrl }: Writer) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sources',
      tags,
      middleware: [role('operator')] as const,
      request: { body: body(NewSource) },
      responses: { 201: json(SourceView, 'Created; a check runs at once'), ...problems },
    }),
    async (c) => {
      const wanted = c.req.valid('json');
      const actor = c.get('actor');
      const { organizationId } = actor;
      const id = newId();
      const settings = settingsOfNew({ box, config }, organizationId, id, wanted);
      checkForgeOrigin(actor.role, undefined, settings);
      const { name, url, ref } = { ...wanted, url: settings.url };
      const entry = { action: 'source.create', subject: `source:${id}`, detail: { name, url, ref } };
      const source = await audited(callerOf(c), store, entry, async ({ tx, emit, enqueue }) => {
        if (!(await insertSource(tx, settings))) throw conflict('name_taken', `Cannot create source "${name}": there is one of that name`);
        emit({ organizationId, type: 'source.created', subject: `source:${id}`, data: { name, url } });
        enqueue('source', id);
        return sourceOf(tx, organizationId, id);
      });
      if (source === undefined) throw notFound('source', id);
      return c.json(viewSource(source, publicUrl()), 201, { etag: etagOf(source.version), location: `sources/${id}` });
    },
  );

const show = ({ store, publicUrl }: Reader) =>
  operation(
    createRoute({
      method: 'get',
      path: '/sources/{id}',
      tags,
      middleware: [role('viewer')] as const,
      request: { params: Id },
      responses: { 200: json(SourceView, 'The source'), ...problems },
    }),
    async (c) => {
      const source = await findSource(store.sql, c.get('actor').organizationId, c.req.valid('param').id);
      return c.json(viewSource(source, publicUrl()), 200, { etag: etagOf(source.version) });
    },
  );

const change = ({ store, box, config, publicUrl }: Writer) =>
  operation(
    createRoute({
      method: 'patch',
      path: '/sources/{id}',
      tags,
      middleware: [role('operator')] as const,
      request: { params: Id, body: body(SourceChange) },
      responses: { 200: json(SourceView, 'Changed; a check runs at once'), ...problems },
    }),
    async (c) => {
      const actor = c.get('actor');
      const { organizationId } = actor;
      const { id } = c.req.valid('param');
      const wanted = c.req.valid('json');
      const fields = Object.keys(wanted);
      const entry = { action: 'source.change', subject: `source:${id}`, detail: { fields } };
      const changed = await audited(callerOf(c), store, entry, async ({ tx, emit, enqueue }) => {
        const source = await lockFoundSource(tx, organizationId, id);
        checkIfMatch(c, source.version);
        const settings = settingsAfter({ box, config }, source, wanted);
        checkForgeOrigin(actor.role, source, settings);
        if (!(await updateSource(tx, settings, followsAnother(source, settings))))
          throw conflict('name_taken', `Cannot rename the source to "${settings.name}": there is one of that name`);
        emit({ organizationId, type: 'source.changed', subject: `source:${id}`, data: { fields } });
        enqueue('source', id);
        return sourceOf(tx, organizationId, id);
      });
      if (changed === undefined) throw notFound('source', id);
      return c.json(viewSource(changed, publicUrl()), 200, { etag: etagOf(changed.version) });
    },
  );

const remove = ({ store }: Reader) =>
  operation(
    createRoute({
      method: 'delete',
      path: '/sources/{id}',
      tags,
      middleware: [role('operator')] as const,
      request: { params: Id },
      responses: { 204: { description: 'Deleted; its devices keep their files' }, ...problems },
    }),
    async (c) => {
      const { organizationId } = c.get('actor');
      const { id } = c.req.valid('param');
      await audited(callerOf(c), store, { action: 'source.delete', subject: `source:${id}` }, async ({ tx, emit }) => {
        const source = await lockFoundSource(tx, organizationId, id);
        checkIfMatch(c, source.version);
        for (const device of await unbindSource(tx, { organizationId, sourceId: id })) emitStanding({ emit }, 'device.status', device);
        await deleteSource(tx, organizationId, id);
        emit({ organizationId, type: 'source.deleted', subject: `source:${id}`, data: { name: source.name } });
      });
      return c.body(null, 204);
    },
  );

const sync = ({ store }: Reader) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sources/{id}/sync',
      tags,
      middleware: [role('operator')] as const,
      request: { params: Id },
      responses: { 202: json(z.object({ queued: z.boolean() }), 'A check runs now'), ...problems },
    }),
    async (c) => {
      const { id } = await findSource(store.sql, c.get('actor').organizationId, c.req.valid('param').id);
      await audited(callerOf(c), store, { action: 'source.sync', subject: `source:${id}` }, async ({ tx, enqueue }) => {
        await endQuiet(tx, id);
        enqueue('source', id);
      });
      return c.json({ queued: true }, 202);
    },
  );
