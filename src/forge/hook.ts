import type { InstalledHook, WantedHook } from './forge.ts';
import type { HostOperations } from './host.ts';
import { keepOne } from './one.ts';

/**
 * Creates or updates the repository's single webhook for the source. Hosts do not show the secret, and somebody may have changed it there, so that
 * every update writes it. If the host's edits keep the secret, the hook is replaced instead, unless it is known to have the current one.
 * `unchanged`: every visible setting was correct.
 */
export async function ensureWebhook(operations: HostOperations, wanted: WantedHook): Promise<InstalledHook> {
  const { item, before } = await keepOne({
    find: async () => (await operations.listHooks(wanted)).filter((hook) => isOurs(hook.url, wanted.url)).sort((a, b) => a.id - b.id),
    create: () => operations.createHook(wanted),
    update: async (hook, isRaced) => {
      const hasSecret = hook.asWanted && (isRaced || String(hook.id) === wanted.knownId);
      if (!hook.dead && (hasSecret || !operations.keepsSecret)) return operations.updateHook(hook.id, wanted);
      await operations.removeHook(hook.id);
      return operations.createHook(wanted);
    },
    remove: (hook) => operations.removeHook(hook.id),
  });
  const id = String(item.id);
  const installed = before === undefined ? 'created' : before.asWanted && id === wanted.knownId ? 'unchanged' : 'updated';
  return { id, installed, settingsUrl: operations.hookSettingsUrl(item.id) };
}

/** Also recognises a hook with a former address of the service: its path ends with the source's id, which is unique. */
function isOurs(url: string, wanted: string): boolean {
  if (url === wanted) return true;
  const path = /\/hooks\/[^/]+$/.exec(new URL(wanted).pathname)?.[0];
  return path !== undefined && URL.parse(url)?.pathname.endsWith(path) === true;
}
