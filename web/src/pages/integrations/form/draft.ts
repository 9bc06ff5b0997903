import type { Integration, IntegrationProvider } from '../../../generated/api.ts';
import { type Fields, fieldsOf } from '../../../ui/form/schema.ts';
import { type Direction, directionsOf, type Strategy } from '../words.ts';

export type FieldRule = { direction?: Direction; strategy?: Strategy };

/** An integration as it is being edited. */
export type Draft = {
  name: string;
  settings: Fields;
  /** Never the stored ones: they are shown to nobody. */
  credentials: Fields;
  direction: Direction;
  strategy: Strategy;
  autoSync: boolean;
  intervalSeconds: number;
  /** null: all of the platform's. */
  fields: string[] | null;
  fieldRules: Record<string, FieldRule>;
};

export function newDraft({ title, abilities, defaultIntervalSeconds }: IntegrationProvider): Draft {
  return {
    name: title,
    settings: {},
    credentials: {},
    direction: directionsOf(abilities)[0] ?? 'import',
    strategy: 'remote_wins',
    autoSync: true,
    intervalSeconds: defaultIntervalSeconds,
    fields: null,
    fieldRules: {},
  };
}

export function draftOf(integration: Integration): Draft {
  const { name, settings, direction, strategy, autoSync, intervalSeconds, fields, fieldRules } = integration;
  return { name, settings: fieldsOf(settings), credentials: {}, direction, strategy, autoSync, intervalSeconds, fields, fieldRules };
}

/** Credentials that nobody typed are left out: the stored ones stay. */
export function bodyOf({ credentials, ...draft }: Draft) {
  return { ...draft, ...(Object.keys(credentials).length > 0 && { credentials }) };
}

/** The part that a test tries. */
export function accountOf({ settings, credentials }: Draft) {
  return { settings, ...(Object.keys(credentials).length > 0 && { credentials }) };
}
