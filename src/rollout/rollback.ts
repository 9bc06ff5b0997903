import type { Config } from '../config.ts';
import type { SecretBox } from '../crypto/secret-box.ts';
import type { Db } from '../db/connect.ts';
import { followFolders } from '../device/folders.ts';
import { boundFolders } from '../device/folders-store.ts';
import { conflict, messageOf, notFound, Problem } from '../errors.ts';
import type { Unit } from '../event/transact.ts';
import type { GitHosts } from '../git/hosts.ts';
import type { AddressGuard } from '../git/http/address-guard.ts';
import { type PushedBranch, pushCommitBranch } from '../git/push.ts';
import { parseRemote } from '../git/remote.ts';
import type { RolloutPolicy } from '../policy/policy.ts';
import { pathsAtRevision, type Revision, revisionOf, setPaths } from '../revision/store.ts';
import { openCredentials } from '../source/credentials.ts';
import type { Source } from '../source/source.ts';
import { holdSource } from '../source/store.ts';
import { startRollout } from './release.ts';
import { establishedBefore } from './store/store.ts';

const PUSH_TIMEOUT_MS = 30_000;

/**
 * Rolls a source's devices back to an older revision and holds the source there. Git is not touched. Newer commits are recorded but not deployed
 * until the hold is lifted. The caller holds the source's lock.
 * @throws Problem `not_found`, `nothing_to_roll_back_to`
 */
export async function rollBackSource(
  unit: Unit,
  source: Source,
  wanted: { to: string | undefined; policy: RolloutPolicy; reason: string; by: string },
): Promise<{ rolloutId: string; revision: Revision }> {
  const { organizationId, id: sourceId } = source;
  const target = wanted.to ?? (await establishedBefore(unit.tx, organizationId, sourceId));
  const revision = target === undefined ? undefined : await revisionOf(unit.tx, organizationId, target);
  if (revision === undefined && wanted.to === undefined)
    throw conflict('nothing_to_roll_back_to', `Cannot roll "${source.name}" back: no earlier rollout has completed with another revision`);
  if (revision === undefined || revision.sourceId !== sourceId) throw notFound('revision', wanted.to ?? '');
  const changed = await setPaths(
    unit.tx,
    { organizationId, sourceId },
    await pathsForDevices(unit.tx, { organizationId, sourceId }, revision),
  );
  await holdSource(unit.tx, sourceId, { by: wanted.by, reason: wanted.reason });
  const { policy, reason, by: createdBy } = wanted;
  const start = { revisionId: revision.id, commit: revision.commit, policy, kind: 'rollback' as const, reason, createdBy };
  const rolloutId = await startRollout(unit, source, start, changed);
  unit.emit({
    organizationId,
    type: 'source.held',
    subject: `source:${sourceId}`,
    data: { by: createdBy, reason, revisionId: revision.id },
  });
  return { rolloutId, revision };
}

/** The revision's folders, also under the present paths of folders that moved since: devices followed them by the folder's name. */
async function pathsForDevices(tx: Db, owner: { organizationId: string; sourceId: string }, revision: Revision) {
  const then = await pathsAtRevision(tx, owner.organizationId, revision);
  const known = new Map(then.map((folder) => [folder.path, folder]));
  const bound = new Set(await boundFolders(tx, owner));
  const moved = followFolders(
    [...bound].filter((path) => !known.has(path)).map((path) => ({ id: '', path })),
    then.map(({ path }) => ({ path, isNew: true, isTaken: bound.has(path) })),
  );
  const carried = moved.flatMap(({ from, to }) => {
    const folder = known.get(to);
    return folder === undefined ? [] : [{ ...folder, path: from }];
  });
  return [...then, ...carried];
}

export type RevertBranch = { name: string; commit: string | null; error: { code: string; detail: string } | null };

/** Pushes a new branch with a commit that restores the tree of `revision`, for a person to merge. The host's refusal is returned, not thrown. */
export async function pushRevert(
  { config, hosts, guard, box }: { config: Config; hosts: GitHosts; guard: AddressGuard; box: SecretBox },
  source: Source,
  revision: Revision,
  wanted: { branch: string; by: string; reason: string; at: Date },
): Promise<RevertBranch> {
  const { branch: name } = wanted;
  if (source.headCommit === null || revision.treeOid === null)
    return {
      name,
      commit: null,
      error: { code: 'commit_missing', detail: `the content of revision "${revision.id}" is no longer stored` },
    };
  const { headCommit: parent } = source;
  const person = { name: `Bellwether (${wanted.by})`, email: 'bellwether@localhost' };
  const message = `Revert to ${revision.commit.slice(0, 12)}\n\n${wanted.reason}\n\nRestores the content of ${revision.commit}:\n${revision.message.split('\n')[0]}\n`;
  const commit = { branch: name, parent, tree: revision.treeOid, message, author: person, committer: person, at: wanted.at };
  try {
    const remote = parseRemote(source.url, { allowHttp: config.ALLOW_HTTP_GIT_HOSTS, allowLocal: config.ALLOW_LOCAL_SOURCES });
    const call = { credentials: openCredentials(box, source), guard, deadlineMs: PUSH_TIMEOUT_MS };
    const pushed: PushedBranch = await hosts.run(remote, source, () => pushCommitBranch(remote, call, commit));
    return { name, commit: pushed.commit, error: null };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { name, commit: null, error: { code: error.code, detail: messageOf(error) } };
  }
}
