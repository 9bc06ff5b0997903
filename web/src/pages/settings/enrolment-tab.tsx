import { Flex, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { read, useAct } from '../../api/query.ts';
import { useSites } from '../../ui/fleet/site-name.tsx';
import { ChoiceInput, Form, SubmitButton, SwitchInput, TextInput } from '../../ui/form/form.tsx';
import { EnrolmentList } from './enrolment-list.tsx';
import { CancelButton, NewDialog, ShownOnce } from './new-dialog.tsx';

/** Tokens that devices register themselves with. */
export function EnrolmentTab() {
  return (
    <>
      <Flex justify="between" align="center" gap="4" wrap="wrap">
        <Text size="2" color="gray">
          A device that starts with an enrolment token registers itself, and follows the token’s source at its site.
        </Text>
        <NewDialog label="Create enrolment token" title="Create an enrolment token">
          {() => <NewToken />}
        </NewDialog>
      </Flex>
      <EnrolmentList />
    </>
  );
}

const DAY_SECONDS = 86_400;
const VALIDITY = [
  { value: '3600', label: 'One hour' },
  { value: String(DAY_SECONDS), label: 'One day' },
  { value: String(7 * DAY_SECONDS), label: 'A week' },
  { value: String(30 * DAY_SECONDS), label: '30 days' },
  { value: String(365 * DAY_SECONDS), label: 'A year' },
];
const NONE = 'none';

/** "site=north, floor=2" → labels. */
function labelsOf(text: string): Record<string, string> {
  const pairs = text.split(/[,\n]/).map((pair) => pair.trim());
  return Object.fromEntries(
    pairs.filter((pair) => pair !== '').map((pair) => [pair.split('=')[0]?.trim() ?? '', pair.split('=').slice(1).join('=').trim()]),
  );
}

function NewToken() {
  const [fields, setFields] = useState({
    uses: '1',
    validity: String(DAY_SECONDS),
    sourceId: NONE,
    siteId: NONE,
    labels: '',
    reenrol: false,
  });
  const create = useAct('POST /api/v1/enrolment-tokens');
  const set = (change: Partial<typeof fields>) => setFields({ ...fields, ...change });
  const { uses, validity, sourceId, siteId, labels, reenrol } = fields;
  if (create.data !== undefined)
    return (
      <ShownOnce secret={create.data.token} label="the enrolment token">
        Start the agent with --token and this token, or give it to {create.data.uses.toLocaleString('en')}{' '}
        {create.data.uses === 1 ? 'device' : 'devices'}. It is shown only now.
      </ShownOnce>
    );
  const body = {
    uses: Number(uses),
    expiresInSeconds: Number(validity),
    sourceId: sourceId === NONE ? null : sourceId,
    siteId: siteId === NONE ? null : siteId,
    labels: labelsOf(labels),
    reenrol,
  };
  return (
    <Form
      error={create.error}
      onSubmit={() => create.mutate({ body })}
      acts={
        <>
          <CancelButton />
          <SubmitButton isBusy={create.isPending}>Create</SubmitButton>
        </>
      }
    >
      <TextInput
        label="Devices"
        name="uses"
        type="number"
        required
        value={uses}
        onChange={(next) => set({ uses: next })}
        hint="How many may register with it"
      />
      <ChoiceInput
        label="Valid for"
        name="expiresInSeconds"
        value={validity}
        onChange={(next) => set({ validity: next })}
        options={VALIDITY}
      />
      <Places sourceId={sourceId} siteId={siteId} set={set} />
      <TextInput label="Labels" name="labels" value={labels} onChange={(next) => set({ labels: next })} placeholder="floor=2, line=b" />
      <SwitchInput
        label="Admit registered devices again"
        name="reenrol"
        checked={reenrol}
        onChange={(next) => set({ reenrol: next })}
        hint="Whoever has the token can take the place of a device of this source and site"
      />
    </Form>
  );
}

type PlacesProps = { sourceId: string; siteId: string; set: (change: { sourceId?: string; siteId?: string }) => void };

function Places({ sourceId, siteId, set }: PlacesProps) {
  const { data: sources } = useQuery(read('GET /api/v1/sources', { query: { limit: 500 } }));
  const sites = useSites();
  const optionsOf = (rows: readonly { id: string; name: string }[]) => [
    { value: NONE, label: 'None' },
    ...rows.map(({ id, name }) => ({ value: id, label: name })),
  ];
  return (
    <>
      <ChoiceInput
        label="Source"
        name="sourceId"
        value={sourceId}
        onChange={(next) => set({ sourceId: next })}
        options={optionsOf(sources?.items ?? [])}
      />
      <ChoiceInput label="Site" name="siteId" value={siteId} onChange={(next) => set({ siteId: next })} options={optionsOf(sites)} />
    </>
  );
}
