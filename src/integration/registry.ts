import { invalid } from '../errors.ts';
import type { Provider } from './provider.ts';
import { golioth } from './providers/golioth/provider.ts';
import { http } from './providers/http/provider.ts';
import { mobivisor } from './providers/mobivisor/provider.ts';
import { mqtt } from './providers/mqtt/provider.ts';
import { presets } from './providers/rest/presets.ts';
import { rest } from './providers/rest/provider.ts';

/** The platforms that this service knows. To add one: its file in `providers/`, and a line here. */
const PROVIDERS: readonly Provider[] = [golioth, mobivisor, mqtt, http, rest, ...presets];

export type Providers = {
  all(): readonly Provider[];
  /** @throws Problem `invalid_request` */
  of(kind: string): Provider;
};

/** @param list others than the built-in ones, for tests */
export function createProviders(list: readonly Provider[] = PROVIDERS): Providers {
  const byKind: ReadonlyMap<string, Provider> = new Map(list.map((provider) => [provider.kind, provider]));
  return {
    all: () => list,
    of: (kind) => {
      const provider = byKind.get(kind);
      if (provider !== undefined) return provider;
      const allowed = [...byKind.keys()].map((known) => `"${known}"`).join(', ');
      throw invalid(`Cannot use integration type "${kind}": must be one of ${allowed}`, [
        { pointer: '/type', detail: `must be one of ${allowed}` },
      ]);
    },
  };
}

export const BUILT_IN: Providers = createProviders();
