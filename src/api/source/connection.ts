import type { Config } from '../../config.ts';
import type { SecretBox } from '../../crypto/secret-box.ts';
import type { GitHosts } from '../../git/hosts.ts';
import type { AddressGuard } from '../../git/http/address-guard.ts';
import { listRefs, refPrefixes, resolveRef } from '../../git/protocol/refs.ts';
import { parseRemote } from '../../git/remote.ts';
import { openCredentials } from '../../source/credentials.ts';
import type { Source } from '../../source/source.ts';

export type ConnectionTest = {
  ok: boolean;
  head: { ref: string; commit: string } | null;
  error: { code: string; detail: string } | null;
  durationMs: number;
};

const LIST_TIMEOUT_MS = 15_000;

/** Tries the connection and the credentials. A refusal of the remote is the answer, not an error of the service. */
export async function testConnection(
  { box, config, guard, hosts }: { box: SecretBox; config: Config; guard: AddressGuard; hosts: GitHosts },
  source: Source,
): Promise<ConnectionTest> {
  const started = performance.now();
  const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
  const options = { prefixes: refPrefixes(source.ref), credentials: openCredentials(box, source), guard, deadlineMs: LIST_TIMEOUT_MS };
  const tried = await hosts
    .probe(remote, source, () => listRefs(remote, options))
    .then((refs) => resolveRef(refs, source.ref))
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
