import { Button, IconButton, Text, TextArea } from '@radix-ui/themes';
import { Link } from '@tanstack/react-router';
import { X } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { ApiError } from '../../../api/client.ts';
import { useAct } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Conflict } from '../../../generated/api.ts';
import { Field } from '../../../ui/form/field.tsx';
import { ErrorState } from '../../../ui/states.tsx';
import { Time } from '../../../ui/time.tsx';
import { resolutionText, valueText } from '../words.ts';

type Props = { conflict: Conflict; onClose: () => void };

/** One conflict: its three values side by side, and its end. */
export function ConflictPanel({ conflict, onClose }: Props) {
  const { deviceId, field, base, local, remote, localChangedAt, remoteChangedAt, state } = conflict;
  const mayResolve = useMay('operator');
  return (
    <section className="panel" aria-label={`Conflict in ${field} of ${deviceId}`}>
      <div className="panel-head">
        <span>
          {field} of{' '}
          <Link className="link" to="/devices/$id" params={{ id: deviceId }}>
            {deviceId}
          </Link>
        </span>
        <IconButton variant="ghost" color="gray" size="1" aria-label="Close the conflict" onClick={onClose} style={{ marginLeft: 'auto' }}>
          <X size={14} />
        </IconButton>
      </div>
      <div className="panel-body stack">
        <div className="sides">
          <Side title="Last common value" value={base} />
          <Side title="Here" value={local} beside={<ChangedAt at={localChangedAt} />} />
          <Side title="At the platform" value={remote} beside={<ChangedAt at={remoteChangedAt} />} />
        </div>
        {state === 'open' && mayResolve && <Resolve conflict={conflict} onDone={onClose} />}
        {state !== 'open' && <Ended conflict={conflict} />}
      </div>
    </section>
  );
}

function ChangedAt({ at }: { at: string | null }) {
  return at === null ? (
    <>time of the change unknown</>
  ) : (
    <>
      changed <Time at={at} />
    </>
  );
}

function Side({ title, value, beside }: { title: string; value: unknown; beside?: ReactNode }) {
  return (
    <div className="field">
      <Text size="2" weight="medium">
        {title}
      </Text>
      <pre className="side-value">{typeof value === 'object' && value !== null ? JSON.stringify(value, null, 2) : valueText(value)}</pre>
      {beside !== undefined && (
        <Text size="1" color="gray">
          {beside}
        </Text>
      )}
    </div>
  );
}

function Ended({ conflict }: { conflict: Conflict }) {
  const { resolvedBy, resolvedAt } = conflict;
  return (
    <Text as="p" size="2">
      {conflict.state === 'obsolete'
        ? 'The sides agreed by themselves'
        : `Resolved with ${resolutionText(conflict)} by ${resolvedBy ?? 'nobody'}`}{' '}
      <Time at={resolvedAt} />
    </Text>
  );
}

function Resolve({ conflict: { id, version, local, remote, base }, onDone }: { conflict: Conflict; onDone: () => void }) {
  const resolve = useAct('POST /api/v1/conflicts/{id}/resolve', { outdates: ['conflicts', 'integrations'], onSuccess: onDone });
  const example = local ?? remote ?? base;
  const [typed, setTyped] = useState(valueText(example));
  const errors = resolve.error instanceof ApiError ? resolve.error.errors.filter(({ pointer }) => pointer.startsWith('/value')) : [];
  const act = (choice: 'local' | 'remote' | 'value') =>
    resolve.mutate({ path: { id }, body: { version, choice, ...(choice === 'value' ? { value: readValue(typed, example) } : {}) } });
  return (
    <div className="stack">
      <div className="sides">
        <Field label="Another value" errors={errors.map(({ detail }) => detail)}>
          {(ids) => <TextArea {...ids} rows={2} value={typed} onChange={(event) => setTyped(event.target.value)} />}
        </Field>
        <Button variant="soft" onClick={() => act('local')} loading={resolve.isPending}>
          Keep the value here
        </Button>
        <Button variant="soft" onClick={() => act('remote')} loading={resolve.isPending}>
          Take the platform's value
        </Button>
      </div>
      <Button variant="soft" color="gray" onClick={() => act('value')} loading={resolve.isPending} style={{ alignSelf: 'start' }}>
        Use the other value
      </Button>
      {resolve.error !== null && errors.length === 0 && <ErrorState error={resolve.error} />}
    </div>
  );
}

/** Texts are typed as they are, all else as JSON; the API refuses what does not fit the field. */
function readValue(typed: string, example: unknown): unknown {
  if (typeof example === 'string') return typed;
  try {
    return JSON.parse(typed);
  } catch {
    return typed;
  }
}
