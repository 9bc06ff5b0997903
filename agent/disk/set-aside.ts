import { lstat, rename } from 'node:fs/promises';

/**
 * Renames the entry at `path` so that the agent can use the path. It deletes nothing, because the entry may be somebody's data. The new name
 * is in the same folder and has the time: `current.set-aside-20261130T183300`.
 * @returns the new path
 */
export async function setAside(path: string, now: Date = new Date()): Promise<string> {
  const stamp = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  for (let number = 1; ; number += 1) {
    const target = `${path}.set-aside-${stamp}${number === 1 ? '' : `-${number}`}`;
    if ((await lstat(target).catch(() => null)) !== null) continue;
    await rename(path, target);
    return target;
  }
}
