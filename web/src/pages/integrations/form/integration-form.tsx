import { Select, Switch, TextField } from '@radix-ui/themes';
import type { ReactNode } from 'react';
import { ApiError } from '../../../api/client.ts';
import type { IntegrationProvider, IntegrationTest } from '../../../generated/api.ts';
import { Field, type FieldError } from '../../../ui/form/field.tsx';
import { objectSchema } from '../../../ui/form/schema.ts';
import { SchemaForm } from '../../../ui/form/schema-form.tsx';
import { DIRECTIONS, directionsOf, entriesOf, keyOf, STRATEGIES } from '../words.ts';
import type { Draft } from './draft.ts';
import { FieldRules } from './field-rules.tsx';

type Props = {
  provider: IntegrationProvider;
  draft: Draft;
  onChange: (draft: Draft) => void;
  errors: readonly FieldError[];
  /** Credentials are stored already: empty ones stay as they are. */
  hasCredentials: boolean;
  test: IntegrationTest | undefined;
  /** Stands behind the account, which it tries. */
  children: ReactNode;
};

/** Account, test, and what is synced how; drawn from the provider's schemas. */
export function IntegrationForm({ provider, draft, onChange, errors, hasCredentials, test, children }: Props) {
  const set = (change: Partial<Draft>) => onChange({ ...draft, ...change });
  return (
    <div className="stack">
      <section className="panel">
        <h2>Account</h2>
        <div className="panel-body fields">
          <Field label="Name" isRequired errors={errorsAt(errors, '/name')}>
            {(ids) => <TextField.Root {...ids} value={draft.name} onChange={(event) => set({ name: event.target.value })} />}
          </Field>
          <SchemaForm
            schema={objectSchema(provider.settings)}
            value={draft.settings}
            onChange={(settings) => set({ settings })}
            pointer="/settings"
            errors={errors}
          />
          <fieldset className="group">
            <legend>Credentials</legend>
            {hasCredentials && <p className="hint">Leave them empty to keep the stored ones. They are never shown.</p>}
            <SchemaForm
              schema={objectSchema(provider.credentials)}
              value={draft.credentials}
              onChange={(credentials) => set({ credentials })}
              pointer="/credentials"
              errors={errors}
              isSecret
            />
          </fieldset>
          {children}
        </div>
      </section>
      <section className="panel">
        <h2>Sync</h2>
        <div className="panel-body fields">
          <SyncFields {...{ provider, draft, errors }} set={set} />
          <FieldRules {...{ provider, draft, errors, test }} set={set} />
        </div>
      </section>
    </div>
  );
}

type SyncProps = Pick<Props, 'provider' | 'draft' | 'errors'> & { set: (change: Partial<Draft>) => void };

function SyncFields({ provider, draft, errors, set }: SyncProps) {
  const allowed = directionsOf(provider.abilities);
  return (
    <>
      <Field label="Direction" errors={errorsAt(errors, '/direction')}>
        {({ id, ...described }) => (
          <Select.Root value={draft.direction} onValueChange={(text) => set({ direction: keyOf(DIRECTIONS, text) ?? draft.direction })}>
            <Select.Trigger id={id} {...described} />
            <Select.Content>
              {allowed.map((name) => (
                <Select.Item key={name} value={name}>
                  {DIRECTIONS[name]}
                </Select.Item>
              ))}
            </Select.Content>
          </Select.Root>
        )}
      </Field>
      <Field label="When both sides changed a field" errors={errorsAt(errors, '/strategy')}>
        {({ id, ...described }) => (
          <Select.Root value={draft.strategy} onValueChange={(text) => set({ strategy: keyOf(STRATEGIES, text) ?? draft.strategy })}>
            <Select.Trigger id={id} {...described} />
            <Select.Content>
              {entriesOf(STRATEGIES).map(([name, text]) => (
                <Select.Item key={name} value={name}>
                  {text}
                </Select.Item>
              ))}
            </Select.Content>
          </Select.Root>
        )}
      </Field>
      <Schedule {...{ draft, errors, set }} />
    </>
  );
}

function Schedule({ draft: { autoSync, intervalSeconds }, errors, set }: Pick<SyncProps, 'draft' | 'errors' | 'set'>) {
  return (
    <div className="side-by-side">
      <Field label="Sync by itself">
        {({ id }) => <Switch id={id} checked={autoSync} onCheckedChange={(on) => set({ autoSync: on })} style={{ alignSelf: 'start' }} />}
      </Field>
      <Field
        label="Minutes between two syncs"
        errors={errorsAt(errors, '/intervalSeconds')}
        description="From 1 minute to 24 hours (1,440)"
      >
        {(ids) => (
          <TextField.Root
            {...ids}
            type="number"
            min={1}
            max={1_440}
            step="any"
            disabled={!autoSync}
            value={Number.isNaN(intervalSeconds) ? '' : String(intervalSeconds / 60)}
            onChange={(event) => set({ intervalSeconds: Math.round(event.target.valueAsNumber * 60) })}
          />
        )}
      </Field>
    </div>
  );
}

function errorsAt(errors: readonly FieldError[], pointer: string): string[] {
  return errors.filter((error) => error.pointer === pointer).map(({ detail }) => detail);
}

/** Errors of a save and of a test, at the fields that they are about. */
export function fieldErrorsOf(error: Error | null, test: IntegrationTest | undefined, { credentials }: IntegrationProvider): FieldError[] {
  const named = error instanceof ApiError ? error.errors : [];
  const isRefused = test?.error?.code === 'integration_unauthorized' || test?.error?.code === 'integration_forbidden';
  if (!isRefused) return [...named];
  const detail = test.error?.detail ?? '';
  return [...named, ...objectSchema(credentials).properties.map(({ name }) => ({ pointer: `/credentials/${name}`, detail }))];
}
