import { invalid } from '../../errors.ts';
import type { FieldError } from '../../wire/problem.ts';
import type { Direction, Integration } from '../integration.ts';
import { type FieldTraits, fieldsOf, type Provider } from '../provider.ts';

/**
 * Checks what is synced against what the provider can do.
 * @throws Problem `invalid_request` with pointers
 */
export function checkSyncSettings(provider: Provider, wanted: Pick<Integration, 'direction' | 'fields' | 'fieldRules' | 'settings'>): void {
  const { direction, fields, fieldRules } = wanted;
  const known = fieldsOf(provider, wanted.settings);
  const names = Object.keys(known);
  const isField = (name: string) => Object.hasOwn(known, name);
  const errors: FieldError[] = [
    ...directionErrors(provider, direction, '/direction'),
    ...(fields ?? []).flatMap((name, index) => (isField(name) ? [] : [noField(`/fields/${index}`, names)])),
    ...Object.entries(fieldRules).flatMap(([name, rule]) =>
      isField(name) ? fieldErrors(provider, known[name], name, rule.direction) : [noField(`/fieldRules/${name}`, names)],
    ),
  ];
  if (errors.length === 0) return;
  const list = errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
  throw invalid(`Cannot sync this with type "${provider.kind}": ${list}`, errors);
}

/** @returns the direction of an integration for which none was given */
export function defaultDirection({ abilities }: Provider): Direction {
  return abilities.list || !(abilities.create || abilities.update) ? 'import' : 'export';
}

function directionErrors({ abilities, kind }: Provider, direction: Direction, pointer: string): FieldError[] {
  const exports = abilities.create || abilities.update;
  // Such a platform takes configuration only.
  if (!abilities.list && !exports) return [];
  if (direction !== 'export' && !abilities.list)
    return [{ pointer, detail: `is "${direction}", and type "${kind}" cannot list devices; must be "export"` }];
  if (direction !== 'import' && !exports)
    return [{ pointer, detail: `is "${direction}", and type "${kind}" cannot create or change devices; must be "import"` }];
  return [];
}

function fieldErrors(provider: Provider, traits: FieldTraits | undefined, name: string, direction: Direction | undefined): FieldError[] {
  if (direction === undefined || direction === 'import' || traits?.writable) return [];
  const detail = `is "${direction}", and type "${provider.kind}" does not let this field be changed; must be "import"`;
  return [{ pointer: `/fieldRules/${name}/direction`, detail }];
}

function noField(pointer: string, names: readonly string[]): FieldError {
  return { pointer, detail: `must be a field of the provider: ${names.join(', ')}` };
}
