import { join } from 'node:path';
import { invalid } from '../errors.ts';
import type { Adapter } from './adapter.ts';
import { agentAdapter } from './agent.ts';
import { createDirectoryAdapter } from './directory.ts';

export type Adapters = { names: readonly string[]; get(name: string): Adapter };

/** The adapters of this service. To add one: its file, and a line here. */
export function createAdapters(options: { dataDir: string }): Adapters {
  const adapters: Adapter[] = [agentAdapter, createDirectoryAdapter(join(options.dataDir, 'outbox'))];
  const byName = new Map(adapters.map((adapter) => [adapter.name, adapter]));
  return {
    names: [...byName.keys()],
    get: (name) => {
      const adapter = byName.get(name);
      if (adapter === undefined)
        throw invalid(`Cannot find adapter "${name}", must be one of ${[...byName.keys()].map((known) => `"${known}"`).join(', ')}`);
      return adapter;
    },
  };
}
