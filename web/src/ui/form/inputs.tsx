import { Select, Switch, TextArea, TextField } from '@radix-ui/themes';
import { useState } from 'react';
import type { InputIds } from './field.tsx';
import { isValue, type Schema, type Value } from './schema.ts';

type Input<Kind extends Schema['kind']> = {
  schema: Extract<Schema, { kind: Kind }>;
  value: Value | undefined;
  /** undefined: the field is left out. */
  onChange: (value: Value | undefined) => void;
  ids: InputIds;
};

export function TextInput({ schema, value, onChange, ids, isSecret }: Input<'text'> & { isSecret: boolean }) {
  const text = typeof value === 'string' ? value : '';
  const change = (typed: string) => onChange(typed === '' ? undefined : typed);
  const shown = typeof schema.fallback === 'string' ? schema.fallback : undefined;
  if (schema.isLong && !isSecret) return <TextArea {...ids} value={text} rows={4} onChange={(event) => change(event.target.value)} />;
  return (
    <TextField.Root
      {...ids}
      type={isSecret ? 'password' : schema.isAddress ? 'url' : 'text'}
      autoComplete={isSecret ? 'new-password' : 'off'}
      spellCheck={false}
      value={text}
      {...(shown !== undefined && { placeholder: shown })}
      onChange={(event) => change(event.target.value)}
    />
  );
}

export function NumberInput({ schema, value, onChange, ids }: Input<'number'>) {
  return (
    <TextField.Root
      {...ids}
      type="number"
      inputMode="decimal"
      value={typeof value === 'number' ? String(value) : ''}
      {...(typeof schema.fallback === 'number' && { placeholder: String(schema.fallback) })}
      {...(schema.min !== undefined && { min: schema.min })}
      {...(schema.max !== undefined && { max: schema.max })}
      step={schema.isInteger ? 1 : 'any'}
      onChange={(event) => onChange(event.target.value === '' ? undefined : event.target.valueAsNumber)}
    />
  );
}

export function BooleanInput({ schema, value, onChange, ids: { id, 'aria-describedby': about } }: Input<'boolean'>) {
  const isOn = typeof value === 'boolean' ? value : schema.fallback === true;
  return <Switch id={id} aria-describedby={about} checked={isOn} onCheckedChange={onChange} style={{ alignSelf: 'start' }} />;
}

export function ChoiceInput({ schema, value, onChange, ids: { id, ...described } }: Input<'choice'>) {
  const chosen = value ?? schema.fallback;
  return (
    <Select.Root
      {...((typeof chosen === 'string' || typeof chosen === 'number') && { value: String(chosen) })}
      onValueChange={(text) => onChange(schema.values.find((one) => String(one) === text))}
    >
      <Select.Trigger id={id} {...described} placeholder="Choose" />
      <Select.Content>
        {schema.values.map((one) => (
          <Select.Item key={one} value={String(one)}>
            {String(one)}
          </Select.Item>
        ))}
      </Select.Content>
    </Select.Root>
  );
}

/** One text a line. */
export function TextsInput({ value, onChange, ids }: Input<'texts'>) {
  const given = Array.isArray(value) ? value.map(String) : [];
  const [text, setText] = useState(given.join('\n'));
  const change = (typed: string) => {
    setText(typed);
    const lines = typed.split('\n').map((line) => line.trim());
    const texts = lines.filter((line) => line !== '');
    onChange(texts.length === 0 ? undefined : texts);
  };
  return <TextArea {...ids} value={text} rows={3} placeholder="One a line" onChange={(event) => change(event.target.value)} />;
}

/** For what has no input of its own. Text that is no JSON stays in the box and is said to be none; `onWrong` hears of it. */
export function JsonInput({ schema, value, onChange, ids, onWrong }: Input<'json'> & { onWrong: (detail: string | undefined) => void }) {
  const [text, setText] = useState(value === undefined ? '' : JSON.stringify(value, null, 2));
  const change = (typed: string) => {
    setText(typed);
    const parsed = typed.trim() === '' ? undefined : parseJson(typed);
    onWrong(parsed instanceof Error ? `is no JSON: ${parsed.message}` : undefined);
    if (!(parsed instanceof Error)) onChange(parsed);
  };
  return (
    <TextArea
      {...ids}
      className="mono"
      value={text}
      rows={Math.min(12, Math.max(3, text.split('\n').length))}
      spellCheck={false}
      {...(schema.fallback !== undefined && { placeholder: JSON.stringify(schema.fallback) })}
      onChange={(event) => change(event.target.value)}
    />
  );
}

function parseJson(text: string): Value | Error {
  try {
    const parsed: unknown = JSON.parse(text);
    return isValue(parsed) ? parsed : new Error('is no value');
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
