import { join } from 'node:path';
import { invalid } from '../errors.ts';
import type { Providers } from '../integration/registry.ts';
import type { Adapter } from './adapter.ts';
import { agentAdapter } from './agent.ts';
import { createDirectoryAdapter } from './directory.ts';
import type { Leases } from './leases.ts';
import { createPlatformAdapter } from './platform.ts';

export type Adapters = {
  names: readonly string[];
  /** @throws Problem `invalid_request` */
  get(name: string): Adapter;
  /** @returns undefined for the adapter of a platform that this version of the service does not know */
  find(name: string): Adapter | undefined;
};

type Options = { dataDir: string; providers: Providers; leases: Leases };

/** The adapters of this service: those of this list, and one for each platform that takes configuration. */
export function createAdapters({ dataDir, providers, leases }: Options): Adapters {
  const platforms = providers.all().filter(({ abilities }) => abilities.push !== false);
  const adapters: Adapter[] = [
    agentAdapter,
    createDirectoryAdapter(join(dataDir, 'outbox')),
    ...platforms.map((provider) => createPlatformAdapter(provider, leases)),
  ];
  const byName = new Map(adapters.map((adapter) => [adapter.name, adapter]));
  return {
    names: [...byName.keys()],
    find: (name) => byName.get(name),
    get: (name) => {
      const adapter = byName.get(name);
      if (adapter === undefined)
        throw invalid(`Cannot find adapter "${name}", must be one of ${[...byName.keys()].map((known) => `"${known}"`).join(', ')}`);
      return adapter;
    },
  };
}
