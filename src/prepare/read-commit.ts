import { join } from 'node:path';
import { DEFAULT_LIMITS } from '../git/limits.ts';
import { download } from '../git/mirror/download.ts';
import { parseRemote } from '../git/remote.ts';
import { openCredentials } from '../source/credentials.ts';
import type { Source } from '../source/source.ts';
import type { PrepareDeps } from './prepare-commit.ts';
import type { CommitFile } from './worker.ts';

/** Files that are larger are not read for a page. */
const MAX_BYTES = 1024 * 1024;

/**
 * Reads one file of a commit as it stands in the repository. This thread waits for the host, a worker thread reads the disk.
 * @param mirror name below `DATA_DIR/mirrors`: one caller at a time
 * @throws Problem as `download` and `Preparer.readFile`, `git_host_unavailable`
 */
export async function readFileOfCommit(
  { hosts, guard, preparer, box, config }: PrepareDeps,
  source: Source,
  { commit, ref, file }: { commit: string; ref: string; file: string },
  mirror: string,
): Promise<CommitFile> {
  const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
  const deadlineMs = config.GIT_TIMEOUT_SECONDS * 1000;
  const options = { oid: commit, ref, limits: DEFAULT_LIMITS, credentials: openCredentials(box, source), guard, deadlineMs };
  const dir = join(config.DATA_DIR, 'mirrors', mirror);
  const path = await hosts.run(remote, source, () => download(dir, remote, { ...options, keep: 'once' }));
  return preparer.readFile(source, { path, ref, commit, file, maxBytes: MAX_BYTES }, deadlineMs);
}
