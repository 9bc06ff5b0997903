import { Button, Select, Text } from '@radix-ui/themes';
import { Plus, X } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { Field, type FieldError, type InputIds } from './field.tsx';
import { BooleanInput, ChoiceInput, JsonInput, NumberInput, TextInput, TextsInput } from './inputs.tsx';
import { type Fields, fieldsOf, type ObjectSchema, type Property, pointerTo, type Schema, type Value, type Variant } from './schema.ts';

type Shared = {
  /** Errors of the API, each at the field that its JSON pointer names. */
  errors: readonly FieldError[];
  /** Texts are secrets: they are typed unseen. */
  isSecret?: boolean;
};
type Props = Shared & { schema: ObjectSchema; value: Fields; onChange: (value: Fields) => void; pointer: string };

/** The fields of an object, drawn from its JSON Schema. Fields that may be left out stand behind those that must be given. */
export function SchemaForm({ schema, value, onChange, pointer, errors, isSecret = false }: Props) {
  const own = errors.filter((error) => error.pointer === pointer);
  const first = schema.properties.filter(({ isRequired }) => isRequired);
  const more = schema.properties.filter(({ isRequired }) => !isRequired);
  const draw = (property: Property) => (
    <PropertyInput
      key={property.name}
      {...{ property, errors, isSecret }}
      value={value[property.name]}
      pointer={pointerTo(pointer, property.name)}
      onChange={(given) => onChange(withField(value, property.name, given))}
    />
  );
  // Few fields need no fold.
  const isFolded = first.length > 0 && more.length > 2;
  return (
    <div className="fields">
      {first.map(draw)}
      {isFolded ? (
        <MoreFields count={more.length} isWrong={more.some(({ name }) => isBelow(errors, pointerTo(pointer, name)))}>
          {more.map(draw)}
        </MoreFields>
      ) : (
        more.map(draw)
      )}
      {own.map(({ detail }) => (
        <Text key={detail} as="p" size="1" color="red" role="alert">
          {detail}
        </Text>
      ))}
    </div>
  );
}

function withField(fields: Fields, name: string, value: Value | undefined): Fields {
  const { [name]: _before, ...others } = fields;
  return value === undefined ? others : { ...others, [name]: value };
}

function isBelow(errors: readonly FieldError[], pointer: string): boolean {
  return errors.some((error) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`));
}

function MoreFields({ count, isWrong, children }: { count: number; isWrong: boolean; children: React.ReactNode }) {
  const details = useRef<HTMLDetailsElement>(null);
  // An error must not hide in a fold.
  useEffect(() => {
    if (isWrong && details.current !== null) details.current.open = true;
  }, [isWrong]);
  return (
    <details ref={details} className="more-fields">
      <summary>{count} more settings, which have defaults</summary>
      <div className="fields">{children}</div>
    </details>
  );
}

type InputProps = Shared & {
  property: Property;
  value: Value | undefined;
  onChange: (value: Value | undefined) => void;
  pointer: string;
};

function PropertyInput({ property: { schema, isRequired }, value, onChange, pointer, errors, isSecret = false }: InputProps) {
  const [wrong, setWrong] = useState<string>();
  if (schema.kind === 'object') return <Nested {...{ schema, isRequired, value, onChange, pointer, errors, isSecret }} />;
  if (schema.kind === 'variants') return <Variants {...{ schema, isRequired, value, onChange, pointer, errors, isSecret }} />;
  const own = errors.filter((error) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`));
  const texts = own.map((error) => `${error.pointer.slice(pointer.length).replace(/^\//, '')} ${error.detail}`.trim());
  return (
    <Field
      label={schema.title}
      isRequired={isRequired}
      errors={wrong === undefined ? texts : [wrong]}
      {...(schema.description !== undefined && { description: schema.description })}
    >
      {(ids) => <Input {...{ schema, value, onChange, ids, isSecret }} onWrong={setWrong} />}
    </Field>
  );
}

type LeafProps = {
  schema: Exclude<Schema, { kind: 'object' | 'variants' }>;
  value: Value | undefined;
  onChange: (value: Value | undefined) => void;
  ids: InputIds;
  isSecret: boolean;
  onWrong: (detail: string | undefined) => void;
};

function Input({ schema, isSecret, onWrong, ...rest }: LeafProps) {
  switch (schema.kind) {
    case 'text':
      return <TextInput schema={schema} isSecret={isSecret} {...rest} />;
    case 'number':
      return <NumberInput schema={schema} {...rest} />;
    case 'boolean':
      return <BooleanInput schema={schema} {...rest} />;
    case 'choice':
      return <ChoiceInput schema={schema} {...rest} />;
    case 'texts':
      return <TextsInput schema={schema} {...rest} />;
    case 'json':
      return <JsonInput schema={schema} onWrong={onWrong} {...rest} />;
  }
}

type GroupProps<Shape> = Shared & {
  schema: Shape;
  isRequired: boolean;
  value: Value | undefined;
  onChange: (value: Value | undefined) => void;
  pointer: string;
};

/** An object in the object. One that may be left out is added first. */
function Nested({ schema, isRequired, value, onChange, pointer, errors, isSecret = false }: GroupProps<ObjectSchema>) {
  const isGiven = isRequired || value !== undefined;
  return (
    <fieldset className="group">
      <legend>{schema.title}</legend>
      {schema.description !== undefined && (
        <Text as="p" size="1" color="gray">
          {schema.description}
        </Text>
      )}
      {isGiven && <SchemaForm {...{ schema, pointer, errors, isSecret }} value={fieldsOf(value)} onChange={onChange} />}
      {!isRequired && (
        <Button
          type="button"
          size="1"
          variant="soft"
          color="gray"
          style={{ alignSelf: 'start' }}
          onClick={() => onChange(isGiven ? undefined : {})}
        >
          {isGiven ? <X size={12} aria-hidden /> : <Plus size={12} aria-hidden />}
          {isGiven ? `Leave out ${schema.title.toLowerCase()}` : `Set ${schema.title.toLowerCase()}`}
        </Button>
      )}
    </fieldset>
  );
}

type VariantSchema = Extract<Schema, { kind: 'variants' }>;

/** One of several objects: which one, and its fields. */
function Variants({ schema, isRequired, value, onChange, pointer, errors, isSecret = false }: GroupProps<VariantSchema>) {
  const given = fieldsOf(value ?? schema.fallback);
  const chosen = schema.variants.find(({ tag, name }) => given[tag] === name);
  return (
    <fieldset className="group">
      <legend>{schema.title}</legend>
      <Field label="Kind" isRequired={isRequired} {...(schema.description !== undefined && { description: schema.description })}>
        {({ id, ...described }) => (
          <Select.Root
            {...(chosen !== undefined && { value: chosen.name })}
            onValueChange={(name) => onChange(taggedOf(schema.variants, name))}
          >
            <Select.Trigger id={id} {...described} placeholder="Choose" />
            <Select.Content>
              {schema.variants.map(({ name }) => (
                <Select.Item key={name} value={name}>
                  {name}
                </Select.Item>
              ))}
            </Select.Content>
          </Select.Root>
        )}
      </Field>
      {chosen !== undefined && <SchemaForm {...{ pointer, errors, isSecret }} schema={chosen.shape} value={given} onChange={onChange} />}
    </fieldset>
  );
}

function taggedOf(variants: readonly Variant[], name: string): Fields | undefined {
  const variant = variants.find((one) => one.name === name);
  return variant === undefined ? undefined : { [variant.tag]: variant.name };
}
