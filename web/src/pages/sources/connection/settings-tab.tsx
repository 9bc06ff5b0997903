import { Button, Flex, Text } from '@radix-ui/themes';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useAct } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Source } from '../../../generated/api.ts';
import { Confirm } from '../../../ui/confirm.tsx';
import { Form, SubmitButton, TextInput } from '../../../ui/form/form.tsx';
import { ErrorState } from '../../../ui/states.tsx';
import { duration } from '../../../ui/time.tsx';
import { Facts } from '../../../ui/values/facts.tsx';
import { TouchedDevices } from '../acts.tsx';
import { changeOf, fieldsOf, type SettingsFields } from './settings-fields.ts';
import { BehaviourFields, ConnectionFields, HostFields } from './settings-inputs.tsx';
import { TestResult } from './test-result.tsx';

/** All settings of the source; a viewer reads them. */
export function SettingsTab({ source }: { source: Source }) {
  const mayOperate = useMay('operator');
  if (!mayOperate) return <ReadSettings source={source} />;
  return (
    <>
      <SettingsForm source={source} />
      <ConnectionPanel source={source} />
      <DeletePanel source={source} />
    </>
  );
}

function ReadSettings({ source }: { source: Source }) {
  return (
    <section className="panel" aria-label="Settings">
      <h2>Settings</h2>
      <div className="panel-body">
        <Facts
          facts={[
            ['Name', source.name],
            ['Repository', source.url],
            ['Ref', source.ref],
            ['Layout', source.layout],
            ['Polled every', duration(source.pollIntervalSeconds * 1_000)],
            ['All or nothing', source.allOrNothing ? 'yes' : 'no'],
            ['Drift', source.driftPolicy],
            ['Policy from', source.policyFrom],
            ['Credentials', source.auth ?? 'none'],
            [
              'Rollout policy',
              <span key="policy" className="mono message">
                {JSON.stringify(source.rolloutPolicy, null, 2)}
              </span>,
            ],
          ]}
        />
      </div>
    </section>
  );
}

const CODES = { name_taken: 'name', invalid_url: 'url', invalid_ref: 'ref' };

function SettingsForm({ source }: { source: Source }) {
  const [edited, setEdited] = useState<Partial<SettingsFields>>({});
  const change = useAct('PATCH /api/v1/sources/{id}', { onSuccess: () => setEdited({}) });
  const [mistake, setMistake] = useState<Error>();
  const fields = { ...fieldsOf(source), ...edited };
  const set = (next: Partial<SettingsFields>) => {
    setEdited({ ...edited, ...next });
    setMistake(undefined);
    if (change.status !== 'idle') change.reset();
  };
  const save = () => {
    try {
      change.mutate({ path: { id: source.id }, body: changeOf(source, fields) });
    } catch (error) {
      setMistake(error instanceof Error ? error : new Error(String(error)));
    }
  };
  return (
    <section className="panel" aria-label="Settings">
      <h2>Settings</h2>
      <div className="panel-body">
        <Form
          error={mistake ?? change.error}
          codes={CODES}
          onSubmit={save}
          acts={
            <>
              {change.isSuccess && (
                <Text size="2" color="green" role="status">
                  Saved; a check runs now.
                </Text>
              )}
              <SubmitButton isBusy={change.isPending}>Save changes</SubmitButton>
            </>
          }
        >
          <div className="settings-columns">
            <ConnectionFields source={source} fields={fields} set={set} />
            <BehaviourFields fields={fields} set={set} />
            <HostFields source={source} fields={fields} set={set} />
          </div>
        </Form>
      </div>
    </section>
  );
}

function ConnectionPanel({ source }: { source: Source }) {
  const test = useAct('POST /api/v1/sources/{id}/test', { outdates: [] });
  return (
    <section className="panel" aria-label="Connection">
      <h2>Connection</h2>
      <div className="panel-body stack">
        <Flex>
          <Button variant="soft" loading={test.isPending} onClick={() => test.mutate({ path: { id: source.id } })}>
            Test the saved connection
          </Button>
        </Flex>
        {test.data !== undefined && <TestResult result={test.data} />}
        {test.error !== null && <ErrorState error={test.error} />}
      </div>
    </section>
  );
}

function DeletePanel({ source }: { source: Source }) {
  const [typed, setTyped] = useState('');
  const navigate = useNavigate();
  const remove = useAct('DELETE /api/v1/sources/{id}', {
    outdates: ['devices', 'rollouts'],
    onSuccess: () => void navigate({ to: '/sources' }),
  });
  return (
    <section className="panel" aria-label="Delete">
      <h2>Delete this source</h2>
      <Flex className="panel-body" gap="4" align="center" wrap="wrap">
        <Text size="2" color="gray">
          Its devices keep their files, but follow nothing. Its revisions and rollouts are gone.
        </Text>
        <Confirm
          trigger={
            <Button variant="soft" color="red">
              Delete source
            </Button>
          }
          title={`Delete ${source.name}?`}
          act="Delete source"
          danger
          disabled={typed !== source.name}
          onConfirm={() => remove.mutateAsync({ path: { id: source.id } })}
        >
          <TouchedDevices sourceId={source.id} verb="They keep their files and follow nothing afterwards." />
          <TextInput label={`Type “${source.name}” to confirm`} name="confirm" value={typed} onChange={setTyped} />
        </Confirm>
      </Flex>
    </section>
  );
}
