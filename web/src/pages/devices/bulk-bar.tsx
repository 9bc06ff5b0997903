import { Button, Checkbox, Flex, Select, Text, TextField } from '@radix-ui/themes';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, type Input } from '../../api/client.ts';
import { outdate } from '../../api/query.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { useSites } from '../../ui/fleet/site-name.tsx';
import { Loaded } from '../../ui/states.tsx';
import type { Selection } from '../../ui/table/data-table.tsx';
import type { DeviceFilter } from './query.ts';

type Bulk = Input<'POST /api/v1/devices:bulk'>['body'];
type Action = Bulk['action'];
type Target = Pick<Bulk, 'ids'> | Pick<Bulk, 'filter'>;
type Parameters = NonNullable<Bulk['parameters']>;

const ACTIONS: readonly [action: Action, title: string][] = [
  ['refresh', 'Refresh'],
  ['retry', 'Retry'],
  ['hold', 'Hold'],
  ['release', 'Release'],
  ['start', 'Follow source'],
  ['stop', 'Stop following'],
  ['label', 'Label'],
  ['move', 'Move to site'],
];

type Props = { selection: Selection; filter: DeviceFilter; total: number; onSelect: (selection: Selection) => void };

/** Acts on the chosen devices, or on all that the filter matches. Each first says how many devices it changes. */
export function BulkBar({ selection, filter, total, onSelect }: Props) {
  const target: Target = selection.all ? { filter: bodyOf(filter) } : { ids: [...selection.ids] };
  const count = selection.all ? total : selection.ids.size;
  return (
    <section className="bulk-bar" aria-label="Acts on chosen devices">
      <Text size="2" weight="medium" role="status">
        {count.toLocaleString('en')} chosen
      </Text>
      {!selection.all && total > selection.ids.size && (
        <Text as="label" size="2">
          <Flex gap="1" align="center">
            <Checkbox size="1" checked={false} onCheckedChange={() => onSelect({ ...selection, all: true })} /> all{' '}
            {total.toLocaleString('en')} that match
          </Flex>
        </Text>
      )}
      <Flex gap="2" wrap="wrap">
        {ACTIONS.map(([action, title]) => (
          <BulkAct key={action} action={action} title={title} target={target} onDone={() => onSelect({ ids: new Set(), all: false })} />
        ))}
        <Button variant="ghost" color="gray" onClick={() => onSelect({ ids: new Set(), all: false })}>
          Clear
        </Button>
      </Flex>
    </section>
  );
}

function bodyOf({ simulated, held, archived, ...filter }: DeviceFilter): NonNullable<Bulk['filter']> {
  return {
    ...filter,
    ...(simulated === undefined ? {} : { simulated: simulated === 'true' }),
    ...(held === undefined ? {} : { held: held === 'true' }),
    ...(archived === undefined ? {} : { archived: archived === 'true' }),
  };
}

function BulkAct({ action, title, target, onDone }: { action: Action; title: string; target: Target; onDone: () => void }) {
  const client = useQueryClient();
  const [parameters, setParameters] = useState<Parameters>({});
  const [willChange, setWillChange] = useState<number>();
  const run = async () => {
    await call('POST /api/v1/devices:bulk', { body: { action, ...target, parameters, expected: willChange ?? 0 } });
    onDone();
    await outdate(client, ['devices', 'summary', 'attention', 'sites']);
  };
  return (
    <Confirm
      trigger={
        <Button variant="surface" color="gray" size="1">
          {title}
        </Button>
      }
      title={`${title}?`}
      act={willChange === undefined ? title : `${title} ${willChange.toLocaleString('en')}`}
      disabled={willChange === undefined}
      onConfirm={run}
    >
      <Fields action={action} onChange={setParameters} />
      <DryRun action={action} target={target} parameters={parameters} onCount={setWillChange} />
    </Confirm>
  );
}

/** Asks the service what the act would do; the act itself is refused when the number changed meanwhile. */
function DryRun({
  action,
  target,
  parameters,
  onCount,
}: {
  action: Action;
  target: Target;
  parameters: Parameters;
  onCount: (count: number | undefined) => void;
}) {
  const isReady = (action !== 'label' || parameters.set !== undefined) && (action !== 'move' || parameters.siteId !== undefined);
  const result = useQuery({
    queryKey: ['bulk', action, target, parameters],
    queryFn: async ({ signal }) => {
      const answer = await call('POST /api/v1/devices:bulk', { body: { action, ...target, parameters, dryRun: true } }, signal);
      onCount(answer.willChange);
      return answer;
    },
    enabled: isReady,
    gcTime: 0,
    staleTime: 0,
  });
  if (!isReady) return <Text size="2">Fill in the field, then the number of devices stands here.</Text>;
  return (
    <Loaded result={result} lines={1}>
      {({ matching, willChange, sample }) => (
        <Text as="p" size="2">
          <strong>{willChange.toLocaleString('en')}</strong> of {(matching ?? willChange).toLocaleString('en')} devices change
          {sample.length > 0 && <>, for example {sample.join(', ')}</>}.
        </Text>
      )}
    </Loaded>
  );
}

function Fields({ action, onChange }: { action: Action; onChange: (parameters: Parameters) => void }) {
  const sites = useSites();
  if (action === 'hold')
    return (
      <TextField.Root
        aria-label="Reason"
        placeholder="Reason"
        maxLength={500}
        onChange={({ target: { value } }) => onChange(value.trim() === '' ? {} : { reason: value.trim() })}
      />
    );
  if (action === 'label')
    return (
      <TextField.Root
        aria-label="Label"
        placeholder="key=value"
        onChange={({ target: { value } }) => {
          const [key = '', text] = value.split('=', 2);
          onChange(key.trim() === '' || text === undefined ? {} : { set: { [key.trim()]: text.trim() } });
        }}
      />
    );
  if (action !== 'move') return null;
  return (
    <Select.Root onValueChange={(value) => onChange({ siteId: value === 'none' ? null : value })}>
      <Select.Trigger placeholder="Site" aria-label="Site" />
      <Select.Content>
        <Select.Item value="none">No site</Select.Item>
        {sites.map(({ id, name }) => (
          <Select.Item key={id} value={id}>
            {name}
          </Select.Item>
        ))}
      </Select.Content>
    </Select.Root>
  );
}
