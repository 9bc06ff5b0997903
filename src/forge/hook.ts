import type { InstalledHook, WantedHook } from './forge.ts';
import type { HostOperations } from './host.ts';
import { keepOne } from './one.ts';

/**
 * The one webhook of the repository that posts to us. Hosts do not show the secret, and somebody may have changed it there: it is written in any case
 * where an edit can, and else the hook is made anew unless it is known to have it. `unchanged` says that everything was right as far as anybody can see.
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

/** Also at an address that the service had before: the path ends with the source's id, which nobody else has. */
function isOurs(url: string, wanted: string): boolean {
  if (url === wanted) return true;
  const path = /\/hooks\/[^/]+$/.exec(new URL(wanted).pathname)?.[0];
  return path !== undefined && URL.parse(url)?.pathname.endsWith(path) === true;
}
