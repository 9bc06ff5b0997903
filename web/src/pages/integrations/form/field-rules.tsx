import { Checkbox, Select, Table, Text } from '@radix-ui/themes';
import type { IntegrationProvider, IntegrationTest } from '../../../generated/api.ts';
import type { FieldError } from '../../../ui/form/field.tsx';
import { titleOf } from '../../../ui/form/schema.ts';
import { DIRECTIONS, entriesOf, keyOf, STRATEGIES } from '../words.ts';
import type { Draft, FieldRule } from './draft.ts';

type Listed = { name: string; title: string; isWritable: boolean };
type Props = {
  provider: IntegrationProvider;
  draft: Draft;
  errors: readonly FieldError[];
  test: IntegrationTest | undefined;
  set: (change: Partial<Draft>) => void;
};

/** Which fields of a device are synced, and where one differs from the others in direction or strategy. */
export function FieldRules({ provider, draft, errors, test, set }: Props) {
  const listed = fieldsOf(provider, draft, test);
  const wrong = errors.filter(({ pointer }) => pointer.startsWith('/fieldRules') || pointer.startsWith('/fields'));
  const setRule = (name: string, rule: FieldRule) => {
    const { [name]: _before, ...others } = draft.fieldRules;
    set({ fieldRules: Object.keys(rule).length === 0 ? others : { ...others, [name]: rule } });
  };
  const toggle = (name: string) => {
    const chosen = new Set(draft.fields ?? listed.map((field) => field.name));
    if (!chosen.delete(name)) chosen.add(name);
    set({ fields: chosen.size === listed.length ? null : [...chosen] });
  };
  return (
    <div className="wide">
      <Table.Root size="1" aria-label="Fields">
        <Table.Header>
          <Table.Row>
            <Table.ColumnHeaderCell>Field</Table.ColumnHeaderCell>
            <Table.ColumnHeaderCell>Direction</Table.ColumnHeaderCell>
            <Table.ColumnHeaderCell>When both sides changed it</Table.ColumnHeaderCell>
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {listed.map((field) => (
            <RuleRow
              key={field.name}
              field={field}
              isSynced={draft.fields === null || draft.fields.includes(field.name)}
              rule={draft.fieldRules[field.name] ?? {}}
              onToggle={() => toggle(field.name)}
              onRule={(rule) => setRule(field.name, rule)}
            />
          ))}
        </Table.Body>
      </Table.Root>
      {wrong.map(({ pointer, detail }) => (
        <Text key={pointer} as="p" size="1" color="red" role="alert">
          {pointer} {detail}
        </Text>
      ))}
    </div>
  );
}

/** The provider's fields, and those that only the settings name: a test shows them, or a rule has them already. */
function fieldsOf(provider: IntegrationProvider, draft: Draft, test: IntegrationTest | undefined): Listed[] {
  const known = provider.fields.map(({ name, title, writable }) => ({ name, title, isWritable: writable }));
  const named = [
    ...(draft.fields ?? []),
    ...Object.keys(draft.fieldRules),
    ...(test?.sample ?? []).flatMap(({ values }) => Object.keys(values)),
  ];
  const others = [...new Set(named)].filter((name) => !known.some((field) => field.name === name));
  return [...known, ...others.map((name) => ({ name, title: titleOf(name), isWritable: true }))];
}

type RowProps = { field: Listed; isSynced: boolean; rule: FieldRule; onToggle: () => void; onRule: (rule: FieldRule) => void };

function RuleRow({ field: { title, isWritable }, isSynced, rule, onToggle, onRule }: RowProps) {
  const { direction, strategy } = rule;
  return (
    <Table.Row align="center">
      <Table.RowHeaderCell>
        <Text as="label" size="2">
          <Checkbox checked={isSynced} onCheckedChange={onToggle} aria-label={`Sync ${title}`} /> {title}
        </Text>
      </Table.RowHeaderCell>
      <Table.Cell>
        {isWritable ? (
          <RuleChoice
            label={`Direction of ${title}`}
            names={DIRECTIONS}
            value={direction}
            onChange={(chosen) =>
              onRule({ ...(chosen !== undefined && { direction: chosen }), ...(strategy !== undefined && { strategy }) })
            }
          />
        ) : (
          <Text size="1" color="gray">
            Read only at the platform
          </Text>
        )}
      </Table.Cell>
      <Table.Cell>
        <RuleChoice
          label={`Strategy of ${title}`}
          names={STRATEGIES}
          value={strategy}
          onChange={(chosen) =>
            onRule({ ...(direction !== undefined && { direction }), ...(chosen !== undefined && { strategy: chosen }) })
          }
        />
      </Table.Cell>
    </Table.Row>
  );
}

const SAME = 'same';
type ChoiceProps<Name extends string> = {
  label: string;
  names: Record<Name, string>;
  value: Name | undefined;
  onChange: (name: Name | undefined) => void;
};

function RuleChoice<Name extends string>({ label, names, value, onChange }: ChoiceProps<Name>) {
  return (
    <Select.Root size="1" value={value ?? SAME} onValueChange={(text) => onChange(keyOf(names, text))}>
      <Select.Trigger aria-label={label} variant={value === undefined ? 'ghost' : 'surface'} />
      <Select.Content>
        <Select.Item value={SAME}>As above</Select.Item>
        {entriesOf(names).map(([name, text]) => (
          <Select.Item key={name} value={name}>
            {text}
          </Select.Item>
        ))}
      </Select.Content>
    </Select.Root>
  );
}
