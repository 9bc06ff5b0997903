import { createRoute, z } from '@hono/zod-openapi';
import { audited } from '../../audit/audited.ts';
import { devicesOfRevision } from '../../deployment/store.ts';
import { emitStanding } from '../../device/events.ts';
import { unbindSource } from '../../device/store/status.ts';
import { conflict, notFound } from '../../errors.ts';
import { listRefs, refPrefixes, resolveRef } from '../../git/protocol/refs.ts';
import { parseRemote } from '../../git/remote.ts';
import { body, checkIfMatch, decodeIdCursor, decodeTimeCursor, etagOf, json, PageQuery, page, problems, toPage } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { listRevisions, pathsOfRevision, revisionOf } from '../../revision/store.ts';
import { openCredentials } from '../../source/credentials.ts';
import type { Source } from '../../source/source.ts';
import {
  deleteSource,
  endQuiet,
  insertSource,
  isSourceNameTaken,
  listSources,
  lockSource,
  sourceOf,
  updateSource,
} from '../../source/store.ts';
import { callerOf, createApi, role } from '../env.ts';
import type { Services } from '../services.ts';
import { NewSource, RevisionDetail, RevisionView, SourceChange, SourceView, viewRevision, viewSource } from './schemas.ts';
import { checkForgeOrigin, followsAnother, settingsAfter, settingsOfNew } from './settings.ts';

const Id = z.object({ id: z.uuid() });
const tags = ['Sources'];

export function sourceRoutes(services: Services) {
  const { store } = services;
  const view = (source: Source) => viewSource(source, services.publicUrl());
  const find = async (organizationId: string, id: string) => {
    const source = await sourceOf(store.sql, organizationId, id);
    if (source === undefined) throw notFound('source', id);
    return source;
  };
  return createApi()
    .openapi(
      createRoute({
        method: 'get',
        path: '/sources',
        tags,
        middleware: [role('viewer')] as const,
        request: { query: PageQuery },
        responses: { 200: json(page(SourceView), 'Sources, oldest first'), ...problems },
      }),
      async (c) => {
        const { limit, cursor } = c.req.valid('query');
        const rows = await listSources(store.sql, c.get('actor').organizationId, decodeIdCursor(cursor), limit + 1);
        return c.json(
          toPage(rows, limit, (source) => source.id, view),
          200,
        );
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/sources',
        tags,
        middleware: [role('operator')] as const,
        request: { body: body(NewSource) },
        responses: { 201: json(SourceView, 'Created; it is looked at at once'), ...problems },
      }),
      async (c) => {
        const wanted = c.req.valid('json');
        const { organizationId } = c.get('actor');
        const settings = settingsOfNew(services, organizationId, newId(), wanted);
        checkForgeOrigin(c.get('actor').role, undefined, settings);
        const source = await audited(
          callerOf(c),
          store,
          { action: 'source.create', subject: `source:${settings.id}`, detail: { name: wanted.name, url: settings.url, ref: wanted.ref } },
          async ({ tx, emit, enqueue }) => {
            if (!(await insertSource(tx, settings)))
              throw conflict('name_taken', `Cannot create source "${wanted.name}": there is one of that name`);
            emit({
              organizationId,
              type: 'source.created',
              subject: `source:${settings.id}`,
              data: { name: wanted.name, url: settings.url },
            });
            enqueue('source', settings.id);
            return sourceOf(tx, organizationId, settings.id);
          },
        );
        if (source === undefined) throw notFound('source', settings.id);
        return c.json(view(source), 201, { etag: etagOf(source.version), location: `sources/${source.id}` });
      },
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/sources/{id}',
        tags,
        middleware: [role('viewer')] as const,
        request: { params: Id },
        responses: { 200: json(SourceView, 'The source'), ...problems },
      }),
      async (c) => {
        const source = await find(c.get('actor').organizationId, c.req.valid('param').id);
        return c.json(view(source), 200, { etag: etagOf(source.version) });
      },
    )
    .openapi(
      createRoute({
        method: 'patch',
        path: '/sources/{id}',
        tags,
        middleware: [role('operator')] as const,
        request: { params: Id, body: body(SourceChange) },
        responses: { 200: json(SourceView, 'Changed; it is looked at at once'), ...problems },
      }),
      async (c) => {
        const { organizationId } = c.get('actor');
        const { id } = c.req.valid('param');
        await find(organizationId, id);
        const change = c.req.valid('json');
        const changed = await audited(
          callerOf(c),
          store,
          { action: 'source.change', subject: `source:${id}`, detail: { fields: Object.keys(change) } },
          async ({ tx, emit, enqueue }) => {
            const source = await lockSource(tx, id);
            if (source === undefined) throw notFound('source', id);
            checkIfMatch(c, source.version);
            const settings = settingsAfter(services, source, change);
            checkForgeOrigin(c.get('actor').role, source, settings);
            if (await isSourceNameTaken(tx, settings))
              throw conflict('name_taken', `Cannot rename the source to "${settings.name}": there is one of that name`);
            await updateSource(tx, settings, followsAnother(source, settings));
            emit({ organizationId, type: 'source.changed', subject: `source:${id}`, data: { fields: Object.keys(change) } });
            enqueue('source', id);
            return sourceOf(tx, organizationId, id);
          },
        );
        if (changed === undefined) throw notFound('source', id);
        return c.json(view(changed), 200, { etag: etagOf(changed.version) });
      },
    )
    .openapi(
      createRoute({
        method: 'delete',
        path: '/sources/{id}',
        tags,
        middleware: [role('operator')] as const,
        request: { params: Id },
        responses: { 204: { description: 'Deleted; its devices keep what they run' }, ...problems },
      }),
      async (c) => {
        const { organizationId } = c.get('actor');
        const { id } = c.req.valid('param');
        await audited(callerOf(c), store, { action: 'source.delete', subject: `source:${id}` }, async ({ tx, emit }) => {
          const source = await lockSource(tx, id);
          if (source === undefined || source.organizationId !== organizationId) throw notFound('source', id);
          checkIfMatch(c, source.version);
          for (const device of await unbindSource(tx, { organizationId, sourceId: id })) emitStanding({ emit }, 'device.status', device);
          await deleteSource(tx, organizationId, id);
          emit({ organizationId, type: 'source.deleted', subject: `source:${id}`, data: { name: source.name } });
        });
        return c.body(null, 204);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/sources/{id}/sync',
        tags,
        middleware: [role('operator')] as const,
        request: { params: Id },
        responses: { 202: json(z.object({ queued: z.boolean() }), 'It is looked at now'), ...problems },
      }),
      async (c) => {
        const { organizationId } = c.get('actor');
        const source = await find(organizationId, c.req.valid('param').id);
        await audited(callerOf(c), store, { action: 'source.sync', subject: `source:${source.id}` }, async ({ tx, enqueue }) => {
          await endQuiet(tx, source.id);
          enqueue('source', source.id);
        });
        return c.json({ queued: true }, 202);
      },
    )
    .openapi(
      createRoute({
        method: 'post',
        path: '/sources/{id}/test',
        tags,
        middleware: [role('operator')] as const,
        request: { params: Id },
        responses: { 200: json(SourceTest, 'What the remote answered'), ...problems },
      }),
      async (c) => c.json(await testSource(services, await find(c.get('actor').organizationId, c.req.valid('param').id)), 200),
    )
    .openapi(
      createRoute({
        method: 'get',
        path: '/sources/{id}/revisions',
        tags,
        middleware: [role('viewer')] as const,
        request: { params: Id, query: PageQuery },
        responses: { 200: json(page(RevisionView), 'Revisions, newest first'), ...problems },
      }),
      async (c) => {
        const { limit, cursor } = c.req.valid('query');
        const { organizationId } = c.get('actor');
        const source = await find(organizationId, c.req.valid('param').id);
        const rows = await listRevisions(store.sql, organizationId, source.id, decodeTimeCursor(cursor), limit + 1);
        return c.json(
          toPage(rows, limit, (revision) => revision.createdAt.toISOString(), viewRevision),
          200,
        );
      },
    )
    .openapi(
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
        const revision = await revisionOf(store.sql, organizationId, id);
        if (revision === undefined) throw notFound('revision', id);
        const paths = await pathsOfRevision(store.sql, organizationId, id, 10_000);
        const devices = await devicesOfRevision(store.sql, organizationId, id, 10_000);
        return c.json({ ...viewRevision(revision), paths, devices }, 200);
      },
    );
}

const SourceTest = z.object({
  ok: z.boolean(),
  head: z.object({ ref: z.string(), commit: z.string() }).nullable(),
  error: z.object({ code: z.string(), detail: z.string() }).nullable(),
  durationMs: z.number(),
});

/** Tries the connection and the credentials; a remote that refuses is an answer, not an error of ours. */
async function testSource({ box, config, guard, hosts }: Services, source: Source): Promise<z.output<typeof SourceTest>> {
  const started = performance.now();
  const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
  const tried = await hosts
    .probe(remote, source, () =>
      listRefs(remote, { prefixes: refPrefixes(source.ref), credentials: openCredentials(box, source), guard, deadlineMs: 15_000 }),
    )
    .then((refs) => resolveRef(refs, source.ref))
    .then(
      (head) => ({ ok: true, head: { ref: head.name, commit: head.oid }, error: null }),
      (error: unknown) => ({ ok: false, head: null, error: tellError(error) }),
    );
  return { ...tried, durationMs: Math.round(performance.now() - started) };
}

function tellError(error: unknown): { code: string; detail: string } {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return { code: error.code, detail: error.message };
  throw error;
}
