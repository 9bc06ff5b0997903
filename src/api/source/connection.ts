import { createRoute, z } from '@hono/zod-openapi';
import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import type { Store } from '../../event/transact.ts';
import type { GitHosts, HostCaller } from '../../git/hosts.ts';
import type { AddressGuard } from '../../git/http/address-guard.ts';
import { listRefs, refPrefixes, resolveRef } from '../../git/protocol/refs.ts';
import { checkRefName, parseRemote, withoutUserName } from '../../git/remote.ts';
import { body, json, problems } from '../../http/kit.ts';
import { newId } from '../../ids.ts';
import { openCredentials } from '../../source/credentials.ts';
import type { Credentials } from '../../source/source.ts';
import { operation, role } from '../env.ts';
import { findSource } from './find.ts';
import { NewSourceTest } from './schemas.ts';

type Prober = { config: Config; guard: AddressGuard; hosts: GitHosts };
type Deps = Prober & { store: Store; box: SecretBox };

const tags = ['Sources'];
const LIST_TIMEOUT_MS = 15_000;

const SourceTest = z
  .object({
    ok: z.boolean(),
    head: z.object({ ref: z.string(), commit: z.string() }).nullable().openapi({ description: 'The ref and its commit at present' }),
    error: z.object({ code: z.string(), detail: z.string() }).nullable(),
    durationMs: z.number(),
  })
  .openapi('SourceTest');

/** Tries the address and the credentials before a source is saved. */
export const testNew = (deps: Prober) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sources/test',
      tags,
      middleware: [role('operator')] as const,
      description: 'Tries settings before they are saved. Stores nothing.',
      request: { body: body(NewSourceTest) },
      responses: { 200: json(SourceTest, 'The answer of the remote'), ...problems },
    }),
    async (c) => {
      const { url, ref, auth } = c.req.valid('json');
      const { organizationId } = c.get('actor');
      const wanted = { url: withoutUserName(url), ref: checkRefName(ref), credentials: auth };
      return c.json(await testConnection(deps, { organizationId, id: newId() }, wanted), 200);
    },
  );

export const testStored = (deps: Deps) =>
  operation(
    createRoute({
      method: 'post',
      path: '/sources/{id}/test',
      tags,
      middleware: [role('operator')] as const,
      request: { params: z.object({ id: z.uuid() }) },
      responses: { 200: json(SourceTest, 'The answer of the remote'), ...problems },
    }),
    async (c) => {
      const source = await findSource(deps.store.sql, c.get('actor').organizationId, c.req.valid('param').id);
      const { url, ref } = source;
      return c.json(await testConnection(deps, source, { url, ref, credentials: openCredentials(deps.box, source) }), 200);
    },
  );

type Connection = { url: string; ref: string; credentials: Credentials | undefined };

/** A refusal of the remote is the answer, not an error of the service. @throws Problem `invalid_url` */
async function testConnection(
  { config, guard, hosts }: Prober,
  caller: HostCaller,
  { url, ref, credentials }: Connection,
): Promise<z.output<typeof SourceTest>> {
  const started = performance.now();
  const remote = parseRemote(url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
  const options = { prefixes: refPrefixes(ref), credentials, guard, deadlineMs: LIST_TIMEOUT_MS };
  const tried = await hosts
    .probe(remote, caller, () => listRefs(remote, options))
    .then((refs) => resolveRef(refs, ref))
    .then(
      (head) => ({ ok: true, head: { ref: head.name, commit: head.oid }, error: null }),
      (error: unknown) => ({ ok: false, head: null, error: describeError(error) }),
    );
  return { ...tried, durationMs: Math.round(performance.now() - started) };
}

/** Errors without a code are our own faults. */
function describeError(error: unknown): { code: string; detail: string } {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return { code: error.code, detail: error.message };
  throw error;
}
