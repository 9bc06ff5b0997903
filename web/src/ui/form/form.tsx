import { Button, Flex, Select, Switch, TextArea, TextField } from '@radix-ui/themes';
import { createContext, type FormEvent, type ReactNode, useContext, useMemo } from 'react';
import { ApiError } from '../../api/client.ts';
import { ErrorState } from '../states.tsx';
import { Field, type InputIds } from './field.tsx';

/** The refusals of the API, by the name of the field. */
const Refused = createContext<ReadonlyMap<string, string>>(new Map());

type FormProps = {
  error: Error | null;
  /** Fields that an error without fields is about, by its code: `name_taken` is about "name". */
  codes?: Readonly<Record<string, string>>;
  onSubmit: () => void;
  children: ReactNode;
  acts: ReactNode;
};

/** A form that shows what the API refused above its buttons, and each refused field also at the field itself. */
export function Form({ error, codes, onSubmit, children, acts }: FormProps) {
  const refused = useMemo(() => refusedFields(error, codes), [error, codes]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    // A dialog inside another form must not send that one.
    event.stopPropagation();
    onSubmit();
  };
  return (
    <Refused value={refused}>
      <form onSubmit={submit}>
        <Flex direction="column" gap="4">
          {children}
          {error !== null && <ErrorState error={error} />}
          <Flex gap="3" justify="end" wrap="wrap">
            {acts}
          </Flex>
        </Flex>
      </form>
    </Refused>
  );
}

/** "/webhook/secret" is the field "webhook/secret". */
function refusedFields(error: Error | null, codes: Readonly<Record<string, string>> = {}): Map<string, string> {
  if (!(error instanceof ApiError)) return new Map();
  const field = codes[error.code];
  if (field !== undefined) return new Map([[field, error.message]]);
  return new Map(error.errors.map(({ pointer, detail }) => [pointer.replace(/^\//, ''), detail]));
}

type FieldProps = {
  label: string;
  /** As the API names it: "name", "auth/token". */
  name: string;
  hint?: ReactNode;
  children: (ids: InputIds) => ReactNode;
};

/** A field of a form that takes its own errors from it. */
function NamedField({ label, name, hint, children }: FieldProps) {
  const refused = [...useContext(Refused)].filter(([field]) => field === name || field.startsWith(`${name}/`));
  const errors = refused.map(([field, detail]) => `${field.slice(name.length + 1)} ${detail}`.trim());
  return (
    <Field label={label} description={hint} errors={errors}>
      {children}
    </Field>
  );
}

type TextProps = Omit<FieldProps, 'children'> & {
  value: string;
  onChange: (value: string) => void;
  type?: 'text' | 'password' | 'number' | 'url' | 'email';
  required?: boolean;
  placeholder?: string;
  beside?: ReactNode;
};

export function TextInput({ label, name, hint, value, onChange, type = 'text', required = false, placeholder, beside }: TextProps) {
  return (
    <NamedField label={label} name={name} hint={hint}>
      {(ids) => (
        <TextField.Root
          {...ids}
          name={name}
          type={type}
          value={value}
          required={required}
          autoComplete={type === 'password' ? 'new-password' : 'off'}
          spellCheck={false}
          {...(placeholder === undefined ? {} : { placeholder })}
          onChange={(event) => onChange(event.target.value)}
        >
          {beside !== undefined && <TextField.Slot side="right">{beside}</TextField.Slot>}
        </TextField.Root>
      )}
    </NamedField>
  );
}

export function LinesInput({ label, name, hint, value, onChange, rows = 6 }: TextProps & { rows?: number }) {
  return (
    <NamedField label={label} name={name} hint={hint}>
      {(ids) => (
        <TextArea
          {...ids}
          className="mono"
          rows={rows}
          value={value}
          spellCheck={false}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </NamedField>
  );
}

type Option<Value extends string> = { value: Value; label: string };
type ChoiceProps<Value extends string> = Omit<FieldProps, 'children'> & {
  value: Value;
  onChange: (value: Value) => void;
  options: readonly Option<Value>[];
};

export function ChoiceInput<Value extends string>({ label, name, hint, value, onChange, options }: ChoiceProps<Value>) {
  const choose = (wanted: string) => {
    const option = options.find((each) => each.value === wanted);
    if (option !== undefined) onChange(option.value);
  };
  return (
    <NamedField label={label} name={name} hint={hint}>
      {({ id, ...described }) => (
        <Select.Root value={value} onValueChange={choose}>
          <Select.Trigger id={id} {...described} />
          <Select.Content position="popper">
            {options.map((option) => (
              <Select.Item key={option.value} value={option.value}>
                {option.label}
              </Select.Item>
            ))}
          </Select.Content>
        </Select.Root>
      )}
    </NamedField>
  );
}

type SwitchProps = Omit<FieldProps, 'children'> & { checked: boolean; onChange: (checked: boolean) => void };

export function SwitchInput({ label, name, hint, checked, onChange }: SwitchProps) {
  return (
    <NamedField label={label} name={name} hint={hint}>
      {({ id, 'aria-describedby': about }) => <Switch id={id} aria-describedby={about} checked={checked} onCheckedChange={onChange} />}
    </NamedField>
  );
}

export function SubmitButton({ isBusy, children }: { isBusy: boolean; children: ReactNode }) {
  return (
    <Button type="submit" loading={isBusy}>
      {children}
    </Button>
  );
}
