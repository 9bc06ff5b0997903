import { Button, Dialog, Flex } from '@radix-ui/themes';
import { useMutation } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Plus } from 'lucide-react';
import { useState } from 'react';
import { call } from '../../../api/client.ts';
import { useAct } from '../../../api/query.ts';
import type { SourceTest } from '../../../generated/api.ts';
import { ChoiceInput, Form, SubmitButton, TextInput } from '../../../ui/form/form.tsx';
import { type AuthFields, authOf, Credentials, NO_AUTH } from './credentials.tsx';
import { TestResult } from './test-result.tsx';
import { NO_WEBHOOK, type WebhookFields, WebhookInputs, webhookOf } from './webhook-inputs.tsx';

/** The form of a new source; that it is open stands in the address. */
export function CreateSource() {
  const { new: isOpen = false } = useSearch({ from: '/signed-in/sources' });
  const navigate = useNavigate();
  const show = (open: boolean) => void navigate({ to: '/sources', search: open ? { new: true } : {} });
  return (
    <Dialog.Root open={isOpen} onOpenChange={show}>
      <Dialog.Trigger>
        <Button>
          <Plus size={14} aria-hidden /> Add source
        </Button>
      </Dialog.Trigger>
      <Dialog.Content maxWidth="560px" aria-describedby={undefined}>
        <Dialog.Title size="4">Add a source</Dialog.Title>
        {isOpen && <NewSourceForm />}
      </Dialog.Content>
    </Dialog.Root>
  );
}

const EMPTY = { name: '', url: '', ref: 'main', layout: 'repo' as 'repo' | 'fleet', poll: '60' };
type Fields = typeof EMPTY & { auth: AuthFields; webhook: WebhookFields };
/** The fields that the error of this code is about. */
const CODES = { name_taken: 'name', invalid_url: 'url', invalid_ref: 'ref' };

function NewSourceForm() {
  const [fields, setFields] = useState<Fields>({ ...EMPTY, auth: NO_AUTH, webhook: NO_WEBHOOK });
  const { save, test, isBusy, error, tested, forget } = useTestAndCreate(fields);
  const set = (change: Partial<Fields>) => {
    setFields({ ...fields, ...change });
    forget();
  };
  const isRefused = tested?.ok === false;
  return (
    <Form
      error={error}
      codes={CODES}
      onSubmit={() => save(isRefused)}
      acts={
        <>
          <Dialog.Close>
            <Button variant="soft" color="gray" type="button">
              Cancel
            </Button>
          </Dialog.Close>
          <Button type="button" variant="soft" disabled={fields.url === ''} loading={isBusy === 'test'} onClick={test}>
            Test connection
          </Button>
          <SubmitButton isBusy={isBusy === 'create'}>{isRefused ? 'Create anyway' : 'Create source'}</SubmitButton>
        </>
      }
    >
      <PlainFields fields={fields} set={set} />
      <Credentials value={fields.auth} onChange={(auth) => set({ auth })} />
      <WebhookInputs value={fields.webhook} onChange={(webhook) => set({ webhook })} url={fields.url} />
      {tested !== undefined && <TestResult result={tested} />}
    </Form>
  );
}

function PlainFields({ fields, set }: { fields: Fields; set: (change: Partial<Fields>) => void }) {
  return (
    <>
      <TextInput label="Name" name="name" required value={fields.name} onChange={(name) => set({ name })} placeholder="store-terminals" />
      <TextInput
        label="Repository"
        name="url"
        required
        value={fields.url}
        onChange={(url) => set({ url })}
        placeholder="https://gitlab.example.com/fleet/terminals.git"
        hint="Its HTTPS address"
      />
      <Flex gap="4" wrap="wrap" className="fields-beside">
        <TextInput label="Ref" name="ref" required value={fields.ref} onChange={(ref) => set({ ref })} hint="Branch, tag or commit" />
        <TextInput
          label="Check every"
          name="pollIntervalSeconds"
          type="number"
          required
          value={fields.poll}
          onChange={(poll) => set({ poll })}
          hint="Seconds, 5 to 86,400; webhooks check at once"
        />
      </Flex>
      <ChoiceInput
        label="Layout"
        name="layout"
        value={fields.layout}
        onChange={(layout) => set({ layout })}
        options={[
          { value: 'repo', label: 'repo: all devices get the whole repository' },
          { value: 'fleet', label: 'fleet: each device has a folder in devices/' },
        ]}
      />
    </>
  );
}

/** No source is saved before its connection was tried; a refused one only when the person insists. */
function useTestAndCreate({ auth, webhook, poll, ...plain }: Fields) {
  const navigate = useNavigate();
  const credentials = authOf(auth);
  const hook = webhookOf(webhook);
  const given = credentials == null ? {} : { auth: credentials };
  const test = useMutation<SourceTest, Error>({
    mutationFn: () => call('POST /api/v1/sources/test', { body: { url: plain.url, ref: plain.ref, ...given } }),
  });
  const create = useAct('POST /api/v1/sources', {
    onSuccess: ({ id }) => void navigate({ to: '/sources/$id', params: { id } }),
  });
  const body = { ...plain, pollIntervalSeconds: Number(poll), ...given, ...(hook == null ? {} : { webhook: hook }) };
  const save = async (isInsisting: boolean) => {
    create.reset();
    if (!isInsisting) {
      const tried = await test.mutateAsync().catch(() => undefined);
      if (tried?.ok !== true) return;
    }
    create.mutate({ body });
  };
  return {
    save: (isInsisting: boolean) => void save(isInsisting),
    test: () => test.mutate(),
    isBusy: create.isPending ? ('create' as const) : test.isPending ? ('test' as const) : undefined,
    error: create.error ?? test.error,
    tested: test.data,
    forget: () => {
      if (test.status !== 'idle') test.reset();
      if (create.status !== 'idle') create.reset();
    },
  };
}
