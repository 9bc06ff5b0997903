import { useState } from 'react';
import { useAct } from '../../../api/query.ts';
import type { Notification } from '../../../generated/api.ts';
import { ChoiceInput, Form, SubmitButton, TextInput } from '../../../ui/form/form.tsx';
import { CancelButton, ShownOnce } from '../new-dialog.tsx';

/** The fields that the error of this code is about. */
const CODES = { name_taken: 'name', invalid_url: 'url' };

export const FORMAT_OPTIONS = [
  { value: 'slack', label: 'Chat: a sentence for Slack or Mattermost' },
  { value: 'cloudevents', label: 'CloudEvents 1.0, structured JSON' },
  { value: 'json', label: 'JSON, as the API shows the event' },
] as const;

export const SEVERITY_OPTIONS = [
  { value: 'info', label: 'Everything' },
  { value: 'warning', label: 'Warnings and errors' },
  { value: 'error', label: 'Errors' },
] as const;

/** "rollout.*, revision.rejected" → a list. */
export function eventsOf(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

export function NewNotification() {
  const [fields, setFields] = useState({
    name: '',
    url: '',
    format: 'slack' as Notification['format'],
    events: 'rollout.*, revision.rejected, source.failed',
    minimumSeverity: 'warning' as Notification['minimumSeverity'],
  });
  const create = useAct('POST /api/v1/notifications');
  const set = (change: Partial<typeof fields>) => setFields({ ...fields, ...change });
  if (create.data !== undefined)
    return (
      <ShownOnce secret={create.data.secret} label="the signing secret">
        The receiver verifies each request with this secret, as Standard Webhooks defines it. It is shown only now.
      </ShownOnce>
    );
  return (
    <Form
      error={create.error}
      codes={CODES}
      onSubmit={() => create.mutate({ body: { ...fields, events: eventsOf(fields.events) } })}
      acts={
        <>
          <CancelButton />
          <SubmitButton isBusy={create.isPending}>Create</SubmitButton>
        </>
      }
    >
      <TextInput label="Name" name="name" required value={fields.name} onChange={(name) => set({ name })} placeholder="on-call" />
      <ChoiceInput label="Format" name="format" value={fields.format} onChange={(format) => set({ format })} options={FORMAT_OPTIONS} />
      <TextInput
        label="Address"
        name="url"
        type="url"
        required
        value={fields.url}
        onChange={(url) => set({ url })}
        hint="Shown only in part afterwards, because it may contain a credential"
      />
      <TextInput
        label="Events"
        name="events"
        required
        value={fields.events}
        onChange={(events) => set({ events })}
        hint="Types by name, groups such as rollout.*, or * for all"
      />
      <ChoiceInput
        label="Severity"
        name="minimumSeverity"
        value={fields.minimumSeverity}
        onChange={(minimumSeverity) => set({ minimumSeverity })}
        options={SEVERITY_OPTIONS}
      />
    </Form>
  );
}
