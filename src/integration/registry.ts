import { invalid } from '../errors.ts';
import type { Provider } from './provider.ts';

/** The platforms that this service knows. To add one: its file in `providers/`, and a line here. */
const PROVIDERS: readonly Provider[] = [];

const BY_KIND: ReadonlyMap<string, Provider> = new Map(PROVIDERS.map((provider) => [provider.kind, provider]));

export const PROVIDER_KINDS: readonly string[] = [...BY_KIND.keys()];

export function providers(): readonly Provider[] {
  return PROVIDERS;
}

/** @throws Problem `invalid_request` */
export function providerOf(kind: string): Provider {
  const provider = BY_KIND.get(kind);
  if (provider !== undefined) return provider;
  const allowed = PROVIDER_KINDS.map((known) => `"${known}"`).join(', ');
  throw invalid(`Cannot use integration type "${kind}": must be one of ${allowed}`, [
    { pointer: '/type', detail: `must be one of ${allowed}` },
  ]);
}
