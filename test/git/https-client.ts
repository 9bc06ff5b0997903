import { addressGuard } from '../../src/git/http/address-guard.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import { listRefs, refPrefixes, resolveRef } from '../../src/git/protocol/refs.ts';
import { parseRemote } from '../../src/git/remote.ts';
import { fetchSnapshot } from '../../src/git/snapshot.ts';
import { readProxies } from '../../src/wire/proxies.ts';

/** Reads a commit's message over TLS in a separate process, since Node loads the trusted authorities only at its start. */
const remote = parseRemote(process.argv[2] ?? '', { allowHttp: false, allowLocal: false });
const options = { guard: addressGuard({ allowPrivate: true, proxies: readProxies(process.env) }), deadlineMs: 10_000 };
try {
  const head = resolveRef(await listRefs(remote, { ...options, prefixes: refPrefixes('main') }), 'main');
  const source = await fetchSnapshot(remote, { ...options, oid: head.oid, ref: head.name, limits: DEFAULT_LIMITS });
  console.log(JSON.stringify({ message: (await source.readCommit(head.oid)).message.trim() }));
} catch (error) {
  console.log(
    JSON.stringify({
      code: error instanceof Error && 'code' in error ? error.code : String(error),
      detail: error instanceof Error ? error.message : '',
    }),
  );
}
process.exit(0);
