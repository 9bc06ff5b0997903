import { Button, Text, TextField } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { ApiError } from '../../api/client.ts';
import { type ItemOf, readPages, useAct } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import type { Integration, IntegrationProvider } from '../../generated/api.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { type Column, DataTable } from '../../ui/data-table.tsx';
import { Field } from '../../ui/form/field.tsx';
import { EmptyState, ErrorState, Loaded } from '../../ui/states.tsx';
import { Time } from '../../ui/time.tsx';

type Props = { integration: Integration; provider: IntegrationProvider | undefined };
type Assignment = ItemOf<'GET /api/v1/integrations/{id}/assignments'>;

const BASE: readonly Column<Assignment>[] = [
  {
    id: 'device',
    title: 'Device',
    width: 'minmax(160px, 1fr)',
    cell: ({ deviceId }) => (
      <Link to="/devices/$id" params={{ id: deviceId }}>
        {deviceId}
      </Link>
    ),
  },
  {
    id: 'external',
    title: 'Id at the platform',
    width: 'minmax(210px, 1fr)',
    cell: ({ externalId }) => (externalId === null ? 'created at the next sync' : <span className="mono">{externalId}</span>),
  },
  {
    id: 'identities',
    title: 'Other ids',
    width: 'minmax(140px, 1fr)',
    cell: ({ identities }) => identities.map(({ kind, value }) => `${kind} ${value}`).join(', '),
  },
  { id: 'synced', title: 'Synced', width: '110px', cell: ({ syncedAt }) => <Time at={syncedAt} /> },
  {
    id: 'error',
    title: 'Error',
    width: 'minmax(140px, 1.6fr)',
    cell: ({ error, retryAt }) =>
      error === null ? (
        ''
      ) : (
        <span title={error.detail}>
          {error.detail} {retryAt !== null && <Time at={retryAt} />}
        </span>
      ),
  },
];

/** Which device here is which one at the platform. */
export function Devices({ integration: { slug }, provider }: Props) {
  const mayAssign = useMay('admin');
  const list = useInfiniteQuery(readPages('GET /api/v1/integrations/{id}/assignments', { path: { id: slug } }));
  const acts: Column<Assignment> = { id: 'acts', title: '', width: '90px', cell: ({ deviceId }) => <Unassign {...{ slug, deviceId }} /> };
  return (
    <div className="stack">
      {mayAssign && <Assign slug={slug} mayCreate={provider?.abilities.create === true} />}
      <Loaded result={list}>
        {({ pages }) => (
          <DataTable
            label="Devices of the integration"
            columns={mayAssign ? [...BASE, acts] : BASE}
            rows={pages.flatMap(({ items }) => items)}
            keyOf={({ deviceId }) => deviceId}
            hasMore={list.hasNextPage}
            isLoadingMore={list.isFetchingNextPage}
            onMore={() => void list.fetchNextPage()}
            empty={
              <EmptyState
                title="No device is assigned"
                hint={
                  provider?.abilities.list === false
                    ? 'This platform lists no devices: assign them by hand above.'
                    : 'A sync assigns the devices that the platform lists.'
                }
              />
            }
          />
        )}
      </Loaded>
    </div>
  );
}

function Unassign({ slug, deviceId }: { slug: string; deviceId: string }) {
  const remove = useAct('DELETE /api/v1/integrations/{id}/assignments/{deviceId}');
  return (
    <Confirm
      trigger={
        <Button size="1" variant="ghost" color="gray" aria-label={`Unassign ${deviceId}`}>
          Unassign
        </Button>
      }
      title={`Unassign ${deviceId}?`}
      act="Unassign"
      danger
      onConfirm={() => remove.mutateAsync({ path: { id: slug, deviceId } })}
    >
      <Text as="p" size="2">
        1 device is no longer synced. Both sides keep it.
      </Text>
    </Confirm>
  );
}

function Assign({ slug, mayCreate }: { slug: string; mayCreate: boolean }) {
  const [deviceId, setDeviceId] = useState('');
  const [externalId, setExternalId] = useState('');
  const assign = useAct('POST /api/v1/integrations/{id}/assignments', {
    onSuccess: () => {
      setDeviceId('');
      setExternalId('');
    },
  });
  const errors = assign.error instanceof ApiError ? assign.error.errors : [];
  const errorsAt = (pointer: string) => errors.filter((error) => error.pointer === pointer).map(({ detail }) => detail);
  return (
    <form
      className="filters"
      aria-label="Assign a device"
      onSubmit={(event) => {
        event.preventDefault();
        assign.mutate({ path: { id: slug }, body: { deviceId, ...(externalId !== '' && { externalId }) } });
      }}
    >
      <Field label="Device here" errors={errorsAt('/deviceId')}>
        {(ids) => <TextField.Root {...ids} value={deviceId} onChange={(event) => setDeviceId(event.target.value)} />}
      </Field>
      <Field label={mayCreate ? 'Id at the platform, if it has one' : 'Id at the platform'} errors={errorsAt('/externalId')}>
        {(ids) => <TextField.Root {...ids} value={externalId} onChange={(event) => setExternalId(event.target.value)} />}
      </Field>
      <Button type="submit" variant="soft" loading={assign.isPending} disabled={deviceId === ''}>
        Assign
      </Button>
      {assign.error !== null && errors.length === 0 && <ErrorState error={assign.error} />}
    </form>
  );
}
