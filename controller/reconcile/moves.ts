import { auditEachDevice } from '../../src/audit/store.ts';
import { foldedName, followFolders } from '../../src/device/folders.ts';
import { devicesIn, foldersNamed, moveDevices, strandedDevices } from '../../src/device/folders-store.ts';
import { lockDevices } from '../../src/device/store.ts';
import type { Unit } from '../../src/event/transact.ts';
import { continueFolders } from '../../src/revision/store.ts';
import type { Source } from '../../src/source/source.ts';

/**
 * Moves devices to folders that the commit renamed, and emits which devices moved and which have no folder left. Runs in the transaction that stored the
 * commit's folders. The caller holds the source's lock.
 * @param changed how the commit changed the set of folders
 * @returns the devices that moved
 */
export async function followMoves(
  unit: Unit,
  source: Source,
  commit: string,
  changed: { appeared: boolean; gone: readonly string[] },
): Promise<string[]> {
  const { organizationId, id: sourceId } = source;
  if (source.layout !== 'fleet' || (!changed.appeared && changed.gone.length === 0)) return [];
  const owner = { organizationId, sourceId };
  const stranded = await strandedDevices(unit.tx, owner);
  if (stranded.length === 0) return [];
  const candidates = await foldersNamed(unit.tx, owner, [...new Set(stranded.map(({ path }) => foldedName(path)))]);
  const moves = followFolders(stranded, candidates);
  if (moves.length > 0) {
    await lockDevices(
      unit.tx,
      organizationId,
      moves.map(({ id }) => id),
    );
    await continueFolders(unit.tx, owner, moves);
    await moveDevices(unit.tx, owner, moves);
    const details = moves.map(({ id, from, to }) => ({ id, detail: { sourceId, from, to } }));
    await auditEachDevice(
      unit.tx,
      { organizationId, actor: 'controller', action: 'device.move', outcome: 'ok', commitOid: commit },
      details,
    );
    for (const { id, detail } of details)
      unit.emit({ organizationId, type: 'device.moved', subject: `device:${id}`, data: { ...detail, commit } });
  }
  for (const { id, path } of await devicesIn(unit.tx, owner, changed.gone)) {
    const found = candidates.filter((candidate) => foldedName(candidate.path) === foldedName(path)).map((candidate) => candidate.path);
    const detail = found.length === 0 ? `"${path}" is gone` : `"${path}" is gone; folders of its name: ${found.slice(0, 5).join(', ')}`;
    const data = { sourceId, path, folders: found.slice(0, 5), commit, detail };
    unit.emit({ organizationId, type: 'device.folder_gone', subject: `device:${id}`, data });
  }
  return moves.map(({ id }) => id);
}
