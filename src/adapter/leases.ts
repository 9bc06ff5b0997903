import type { Closable } from '../async/lifecycle.ts';
import type { Db } from '../db/connect.ts';
import type { Integration } from '../integration/integration.ts';
import { openPlatform, type PlatformDeps } from '../integration/open.ts';
import { integrationProblem } from '../integration/problems.ts';
import type { Platform } from '../integration/provider.ts';
import { integrationById } from '../integration/store/services.ts';
import type { Log } from '../log.ts';

/** An open platform. `release` ends its use. */
export type Lease = { integration: Integration; platform: Platform; release(): void };

/** Platforms that stay open between deliveries, since some hold a connection. One per integration, and a new one after each change of its account. */
export type Leases = Closable & {
  /** @throws Problem `integration_unassigned` when the integration is gone, and those of `openPlatform` */
  take(integrationId: string): Promise<Lease>;
};

type Entry = { account: string; platform: Platform; uses: number; isOld: boolean };

export function createLeases(sql: Db, deps: PlatformDeps, log: Log): Leases {
  const entries = new Map<string, Entry>();
  const closing = new Set<Promise<void>>();
  const closeUnused = (entry: Entry) => {
    if (!entry.isOld || entry.uses > 0 || entry.platform.close === undefined) return;
    const done: Promise<void> = entry.platform
      .close()
      .catch((error: unknown) => log.warn({ err: error }, 'failed to close the connection to a platform; it is dropped'))
      .finally(() => closing.delete(done));
    closing.add(done);
  };
  const retire = (id: string) => {
    const entry = entries.get(id);
    if (entry === undefined) return;
    entries.delete(id);
    entry.isOld = true;
    closeUnused(entry);
  };
  return {
    take: async (id) => {
      const integration = await integrationById(sql, id);
      if (integration === undefined) {
        retire(id);
        throw integrationProblem('integration_unassigned', 'Cannot deliver: the integration of the device is gone');
      }
      const account = JSON.stringify([
        integration.settings,
        integration.credentialsSealed,
        integration.isActive,
        integration.blockedReason,
      ]);
      if (entries.get(id)?.account !== account) retire(id);
      const entry = entries.get(id) ?? { account, platform: openPlatform(integration, deps), uses: 0, isOld: false };
      entries.set(id, entry);
      entry.uses += 1;
      const release = () => {
        entry.uses -= 1;
        closeUnused(entry);
      };
      return { integration, platform: entry.platform, release };
    },
    close: async () => {
      for (const id of [...entries.keys()]) retire(id);
      await Promise.all(closing);
    },
  };
}
