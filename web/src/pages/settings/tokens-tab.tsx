import { Badge, Button, Flex, Text } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { readPages, useAct } from '../../api/query.ts';
import type { Token } from '../../generated/api.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { ChoiceInput, Form, SubmitButton, TextInput } from '../../ui/form/form.tsx';
import { EmptyState } from '../../ui/states.tsx';
import type { Column } from '../../ui/table/data-table.tsx';
import { Time } from '../../ui/time.tsx';
import { ListTable } from './list-table.tsx';
import { CancelButton, NewDialog, ShownOnce } from './new-dialog.tsx';

/** Tokens of people and programs. */
export function TokensTab() {
  const list = useInfiniteQuery(readPages('GET /api/v1/tokens', {}));
  return (
    <>
      <Flex justify="between" align="center" gap="4" wrap="wrap">
        <Text size="2" color="gray">
          A token signs a person or a program in, with one role. A revoked token ends its sessions at once.
        </Text>
        <NewDialog label="Create token" title="Create an API token">
          {() => <NewToken />}
        </NewDialog>
      </Flex>
      <ListTable
        label="API tokens"
        list={list}
        columns={COLUMNS}
        keyOf={({ id }) => id}
        empty={<EmptyState title="No tokens" hint="Create one for each person and program." />}
      />
    </>
  );
}

const COLUMNS: readonly Column<Token>[] = [
  { id: 'name', title: 'Name', width: 'minmax(120px, 2fr)', cell: ({ name }) => name },
  { id: 'role', title: 'Role', width: '96px', cell: ({ role }) => <Badge color={role === 'admin' ? 'indigo' : 'gray'}>{role}</Badge> },
  { id: 'email', title: 'Owner', width: 'minmax(120px, 2fr)', cell: ({ email }) => email ?? '' },
  { id: 'last4', title: 'Ends with', width: '88px', cell: ({ last4 }) => <span className="mono">…{last4}</span> },
  { id: 'used', title: 'Last used', width: '104px', cell: ({ lastUsedAt }) => <Time at={lastUsedAt} /> },
  { id: 'created', title: 'Created', width: '104px', cell: ({ createdAt }) => <Time at={createdAt} /> },
  { id: 'act', title: '', width: '72px', cell: (token) => <Revoke token={token} /> },
];

function Revoke({ token: { id, name } }: { token: Token }) {
  const revoke = useAct('DELETE /api/v1/tokens/{id}');
  return (
    <Confirm
      trigger={
        <Button size="1" variant="ghost" color="red" aria-label={`Revoke ${name}`}>
          Revoke
        </Button>
      }
      title={`Revoke the token ${name}?`}
      act="Revoke token"
      danger
      onConfirm={() => revoke.mutateAsync({ path: { id } })}
    >
      <Text size="2">Whoever uses it is refused from now on. This cannot be undone.</Text>
    </Confirm>
  );
}

function NewToken() {
  const [fields, setFields] = useState({ name: '', email: '', role: 'viewer' as Token['role'] });
  const create = useAct('POST /api/v1/tokens');
  const set = (change: Partial<typeof fields>) => setFields({ ...fields, ...change });
  const { name, email, role } = fields;
  if (create.data !== undefined)
    return (
      <ShownOnce secret={create.data.token} label="the token">
        The token of {create.data.name}, with the role {create.data.role}. It is shown only now.
      </ShownOnce>
    );
  return (
    <Form
      error={create.error}
      onSubmit={() => create.mutate({ body: { name, role, ...(email === '' ? {} : { email }) } })}
      acts={
        <>
          <CancelButton />
          <SubmitButton isBusy={create.isPending}>Create</SubmitButton>
        </>
      }
    >
      <TextInput label="Name" name="name" required value={name} onChange={(next) => set({ name: next })} placeholder="Ada, or the CI job" />
      <ChoiceInput
        label="Role"
        name="role"
        value={role}
        onChange={(next) => set({ role: next })}
        options={[
          { value: 'viewer', label: 'Viewer: reads everything but tokens and audit' },
          { value: 'operator', label: 'Operator: also changes devices, sources and rollouts' },
          { value: 'admin', label: 'Admin: also tokens, credentials and audit' },
        ]}
      />
      <TextInput
        label="Owner’s e-mail address"
        name="email"
        type="email"
        value={email}
        onChange={(next) => set({ email: next })}
        hint="Optional: approvals by another person than the author compare it with the commit"
      />
    </Form>
  );
}
