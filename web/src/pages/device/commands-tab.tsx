import { Button, Flex, Text, TextField } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { read, useAct } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import { State } from '../../ui/fleet/status.tsx';
import { EmptyState, ErrorState, Loaded } from '../../ui/states.tsx';
import { Time } from '../../ui/time.tsx';

/** Commands with their results, and a form that queues one. */
export function CommandsTab({ id }: { id: string }) {
  const commands = useQuery(read('GET /api/v1/devices/{id}/commands', { path: { id }, query: { limit: 100 } }));
  const mayOperate = useMay('operator');
  return (
    <div className="stack">
      {mayOperate && <QueueCommand id={id} />}
      <Loaded result={commands}>
        {({ items }) =>
          items.length === 0 ? (
            <EmptyState title="No command yet" hint="A command is a one-off instruction, such as ping or restart." />
          ) : (
            <ul className="lines panel">
              {items.map((command) => (
                <li key={command.id} className="command">
                  <Text size="2">
                    <span className="mono">{command.type}</span> <State state={command.state} />
                  </Text>
                  <Text size="1" color="gray">
                    {command.createdBy} · <Time at={command.createdAt} />
                  </Text>
                  {command.result != null && <pre className="mono result">{JSON.stringify(command.result, null, 2)}</pre>}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </div>
  );
}

function QueueCommand({ id }: { id: string }) {
  const [type, setType] = useState('ping');
  const [payload, setPayload] = useState('{}');
  const [malformed, setMalformed] = useState<Error>();
  const queue = useAct('POST /api/v1/devices/{id}/commands');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setMalformed(undefined);
    try {
      queue.mutate({ path: { id }, body: { type, payload: JSON.parse(payload) } });
    } catch {
      setMalformed(new Error('Cannot queue the command: the payload is no JSON object, such as {"delaySeconds": 5}'));
    }
  };
  const error = malformed ?? queue.error;
  return (
    <form onSubmit={submit}>
      <Flex gap="2" wrap="wrap" align="end">
        <Text as="label" size="2" weight="medium">
          Type
          <TextField.Root value={type} onChange={(event) => setType(event.target.value)} required />
        </Text>
        <Text as="label" size="2" weight="medium">
          Payload
          <TextField.Root value={payload} onChange={(event) => setPayload(event.target.value)} className="mono" />
        </Text>
        <Button type="submit" loading={queue.isPending}>
          Send command
        </Button>
      </Flex>
      {error != null && <ErrorState error={error} />}
    </form>
  );
}
