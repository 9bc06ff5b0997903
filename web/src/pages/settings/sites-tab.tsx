import { Button, Dialog, Flex, Text } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { readPages, useAct } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import type { Site } from '../../generated/api.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { State } from '../../ui/fleet/status.tsx';
import { Form, SubmitButton, TextInput } from '../../ui/form/form.tsx';
import { EmptyState } from '../../ui/states.tsx';
import type { Column } from '../../ui/table/data-table.tsx';
import { Time } from '../../ui/time.tsx';
import { ListTable } from './list-table.tsx';
import { CancelButton, NewDialog } from './new-dialog.tsx';

/** The fields that the error of this code is about. */
const CODES = { name_taken: 'name' };

/** Places with devices: shops, halls, wind farms. */
export function SitesTab() {
  const mayOperate = useMay('operator');
  const list = useInfiniteQuery(readPages('GET /api/v1/sites', {}));
  const columns = useMemo(() => (mayOperate ? [...COLUMNS, ACTS] : COLUMNS), [mayOperate]);
  return (
    <>
      <Flex justify="between" align="center" gap="4" wrap="wrap">
        <Text size="2" color="gray">
          A site is a place with devices. Filters, holds and rollout policies name it.
        </Text>
        {mayOperate && (
          <NewDialog label="Create site" title="Create a site">
            {(close) => <NewSite close={close} />}
          </NewDialog>
        )}
      </Flex>
      <ListTable
        label="Sites"
        list={list}
        columns={columns}
        keyOf={({ id }) => id}
        empty={
          <EmptyState
            title="No sites yet"
            hint="Create one, then move devices to it on the page Devices, or name it in an enrolment token."
          />
        }
      />
    </>
  );
}

const COLUMNS: readonly Column<Site>[] = [
  { id: 'name', title: 'Name', width: 'minmax(140px, 2fr)', cell: ({ name }) => name },
  {
    id: 'devices',
    title: 'Devices',
    width: '80px',
    numeric: true,
    cell: ({ id, devices }) => (
      <Link to="/devices" search={{ site: id }} className="link">
        {devices.toLocaleString('en')}
      </Link>
    ),
  },
  {
    id: 'hold',
    title: 'Hold',
    width: 'minmax(120px, 2fr)',
    cell: ({ hold }) =>
      hold !== null && (
        <span title={`Held by ${hold.by}: ${hold.reason}`}>
          <State state="held" /> {hold.reason}
        </span>
      ),
  },
  { id: 'created', title: 'Created', width: '104px', cell: ({ createdAt }) => <Time at={createdAt} /> },
];

const ACTS: Column<Site> = {
  id: 'acts',
  title: '',
  width: '220px',
  cell: (site) => (
    <Flex gap="4" align="center">
      <Rename site={site} />
      <HoldOrRelease site={site} />
      <Delete site={site} />
    </Flex>
  ),
};

function NewSite({ close }: { close: () => void }) {
  const [name, setName] = useState('');
  const create = useAct('POST /api/v1/sites', { onSuccess: close });
  return (
    <Form
      error={create.error}
      codes={CODES}
      onSubmit={() => create.mutate({ body: { name } })}
      acts={
        <>
          <CancelButton />
          <SubmitButton isBusy={create.isPending}>Create</SubmitButton>
        </>
      }
    >
      <TextInput label="Name" name="name" required value={name} onChange={setName} placeholder="Hamburg Altona" />
    </Form>
  );
}

function Rename({ site }: { site: Site }) {
  const [open, setOpen] = useState(false);
  const [name, setName] = useState(site.name);
  const rename = useAct('PATCH /api/v1/sites/{id}', { onSuccess: () => setOpen(false) });
  return (
    <Dialog.Root open={open} onOpenChange={setOpen}>
      <Dialog.Trigger>
        <Button size="1" variant="ghost" aria-label={`Rename ${site.name}`}>
          Rename
        </Button>
      </Dialog.Trigger>
      <Dialog.Content maxWidth="480px" aria-describedby={undefined}>
        <Dialog.Title size="4">Rename {site.name}</Dialog.Title>
        <Form
          error={rename.error}
          codes={CODES}
          onSubmit={() => rename.mutate({ path: { id: site.id }, body: { name } })}
          acts={
            <>
              <CancelButton />
              <SubmitButton isBusy={rename.isPending}>Rename</SubmitButton>
            </>
          }
        >
          <TextInput
            label="Name"
            name="name"
            required
            value={name}
            onChange={setName}
            hint={`Templates that use the name of the site change the files of its ${devices(site)}`}
          />
        </Form>
      </Dialog.Content>
    </Dialog.Root>
  );
}

function devices({ devices: count }: Site): string {
  return `${count.toLocaleString('en')} ${count === 1 ? 'device' : 'devices'}`;
}

function HoldOrRelease({ site }: { site: Site }) {
  const [reason, setReason] = useState('');
  const outdates = ['sites', 'devices', 'rollouts'];
  const hold = useAct('POST /api/v1/sites/{id}/hold', { outdates });
  const release = useAct('DELETE /api/v1/sites/{id}/hold', { outdates });
  const isHeld = site.hold !== null;
  const verb = isHeld ? 'Release' : 'Hold';
  const path = { id: site.id };
  return (
    <Confirm
      trigger={
        <Button size="1" variant="ghost" aria-label={`${verb} ${site.name}`}>
          {verb}
        </Button>
      }
      title={`${verb} ${site.name}?`}
      act={`${verb} site`}
      onConfirm={() => (isHeld ? release.mutateAsync({ path }) : hold.mutateAsync({ path, body: reason === '' ? {} : { reason } }))}
    >
      <Text size="2">
        {isHeld
          ? `Its ${devices(site)} follow their sources again.`
          : `Its ${devices(site)} keep their present bundles until the site is released.`}
      </Text>
      {!isHeld && <TextInput label="Reason" name="reason" value={reason} onChange={setReason} />}
    </Confirm>
  );
}

function Delete({ site }: { site: Site }) {
  const remove = useAct('DELETE /api/v1/sites/{id}');
  return (
    <Confirm
      trigger={
        <Button size="1" variant="ghost" color="red" aria-label={`Delete ${site.name}`}>
          Delete
        </Button>
      }
      title={`Delete ${site.name}?`}
      act="Delete site"
      danger
      onConfirm={() => remove.mutateAsync({ path: { id: site.id } })}
    >
      <Text size="2">{site.devices === 0 ? 'No device is at this site.' : `${devices(site)} must move to another site first.`}</Text>
    </Confirm>
  );
}
