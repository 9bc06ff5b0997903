import { Button, Flex, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Undo2 } from 'lucide-react';
import { useState } from 'react';
import { read, useAct } from '../../api/query.ts';
import type { Revision, Source } from '../../generated/api.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { ChoiceInput, TextInput } from '../../ui/form/form.tsx';
import { ErrorState, Loading } from '../../ui/states.tsx';
import { Diffs, PlanSentence, planQuery } from './plans/plan.tsx';

/** Takes every device of the source back to an earlier commit, after it says what changes. */
export function RollBack({ source }: { source: Source }) {
  const [fields, setFields] = useState({ to: 'previous', reason: '', branch: '' });
  const navigate = useNavigate();
  const act = useAct('POST /api/v1/sources/{id}/rollback', {
    outdates: ['sources', 'devices', 'rollouts'],
    onSuccess: ({ rollout }) => void navigate({ to: '/rollouts/$id', params: { id: rollout.id } }),
  });
  const { to, reason, branch } = fields;
  const previous = usePrevious(source);
  // The service does exactly this, whatever completes meanwhile.
  const target = to === 'previous' ? previous : to;
  const body = {
    ...(target === undefined ? {} : { to: target }),
    ...(reason === '' ? {} : { reason }),
    ...(branch === '' ? {} : { branch }),
  };
  return (
    <Confirm
      trigger={
        <Button variant="soft" color="red">
          <Undo2 size={14} aria-hidden /> Roll back
        </Button>
      }
      title={`Roll ${source.name} back?`}
      act="Roll back"
      danger
      onConfirm={() => act.mutateAsync({ path: { id: source.id }, body })}
    >
      <RollBackForm source={source} target={target} fields={fields} onChange={setFields} />
    </Confirm>
  );
}

/** The revision that a rollout completed before the present one. */
function usePrevious({ id, revisionId }: Source): string | undefined {
  const { data } = useQuery(read('GET /api/v1/rollouts', { query: { sourceId: id, state: 'completed', limit: 20 } }));
  return data?.items.find((rollout) => rollout.revisionId !== revisionId)?.revisionId;
}

type Fields = { to: string; reason: string; branch: string };
type FormProps = { source: Source; target: string | undefined; fields: Fields; onChange: (fields: Fields) => void };

function RollBackForm({ source, target, fields, onChange }: FormProps) {
  const { data } = useQuery(read('GET /api/v1/sources/{id}/revisions', { path: { id: source.id }, query: { limit: 50 } }));
  const earlier = data?.items.filter(({ id, verdict }) => verdict !== 'invalid' && id !== source.revisionId) ?? [];
  const chosen = earlier.find(({ id }) => id === target);
  return (
    <Flex direction="column" gap="3">
      <ChoiceInput
        label="To"
        name="to"
        value={fields.to}
        onChange={(to) => onChange({ ...fields, to })}
        options={[{ value: 'previous', label: 'The last commit that a rollout completed before' }, ...earlier.map(optionOf)]}
      />
      {chosen === undefined ? (
        <Text size="2" color="gray">
          All devices of the source get it at once.
        </Text>
      ) : (
        <Effect sourceId={source.id} commit={chosen.commit} />
      )}
      <TextInput label="Reason" name="reason" value={fields.reason} onChange={(reason) => onChange({ ...fields, reason })} />
      <TextInput
        label="Branch for the revert commit"
        name="branch"
        value={fields.branch}
        onChange={(branch) => onChange({ ...fields, branch })}
        hint="Optional: a new branch that the service pushes, so that Git says the same as the devices"
      />
    </Flex>
  );
}

function optionOf({ id, commit, message }: Revision) {
  return { value: id, label: `${commit.slice(0, 8)} ${message.split('\n')[0]?.slice(0, 60)}` };
}

function Effect({ sourceId, commit }: { sourceId: string; commit: string }) {
  const plan = useQuery(planQuery(sourceId, commit));
  if (plan.error !== null) return <ErrorState error={plan.error} />;
  if (plan.data === undefined) return <Loading lines={1} />;
  return (
    <>
      <PlanSentence summary={plan.data.summary} />
      <Diffs plan={plan.data} />
    </>
  );
}
