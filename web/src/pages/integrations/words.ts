import type { Conflict, Integration, IntegrationProvider } from '../../generated/api.ts';
import { words } from '../../ui/status.tsx';

/** Words of integrations that several of their panels use. */

export type Direction = Integration['direction'];
export type Strategy = Integration['strategy'];

export const DIRECTIONS: Record<Direction, string> = {
  import: 'From the platform to here',
  export: 'From here to the platform',
  both: 'Both ways',
};
export const STRATEGIES: Record<Strategy, string> = {
  remote_wins: 'The platform wins',
  local_wins: 'Bellwether wins',
  newest_wins: 'The newest change wins',
  merge: 'Keep both changes of sets and maps',
  manual: 'A person decides',
};

export const entriesOf = <Name extends string>(names: Record<Name, string>): [Name, string][] =>
  Object.keys(names).flatMap((name) => (isNameOf(names, name) ? [[name, names[name]]] : []));

function isNameOf<Name extends string>(names: Record<Name, string>, name: string): name is Name {
  return Object.hasOwn(names, name);
}

export function keyOf<Name extends string>(names: Record<Name, string>, text: string): Name | undefined {
  return isNameOf(names, text) ? text : undefined;
}

/** Directions that the platform can serve; one that only takes configuration serves any. */
export function directionsOf({ list, create, update }: IntegrationProvider['abilities']): Direction[] {
  const exports = create || update;
  if (!list && !exports) return ['import', 'export', 'both'];
  return [
    ...(list ? (['import'] as const) : []),
    ...(exports ? (['export'] as const) : []),
    ...(list && exports ? (['both'] as const) : []),
  ];
}

/** JSON on one line, a text without quotes. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export function every(seconds: number): string {
  if (seconds % 3_600 === 0) return seconds === 3_600 ? 'every hour' : `every ${seconds / 3_600} hours`;
  if (seconds % 60 === 0) return seconds === 60 ? 'every minute' : `every ${seconds / 60} minutes`;
  return `every ${seconds} seconds`;
}

export function resolutionText({ resolution, value }: Conflict): string {
  if (resolution === null) return '–';
  if (resolution === 'local') return 'the value here';
  if (resolution === 'remote') return "the platform's value";
  return resolution === 'value' ? valueText(value) : `${words(resolution).toLowerCase()}: ${valueText(value)}`;
}
