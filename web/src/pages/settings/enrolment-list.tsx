import { Button, Text } from '@radix-ui/themes';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { type ItemOf, read, readPages, useAct } from '../../api/query.ts';
import { Confirm } from '../../ui/confirm.tsx';
import { SiteName } from '../../ui/fleet/site-name.tsx';
import { EmptyState } from '../../ui/states.tsx';
import type { Column } from '../../ui/table/data-table.tsx';
import { Time } from '../../ui/time.tsx';
import { ListTable } from './list-table.tsx';

type Row = ItemOf<'GET /api/v1/enrolment-tokens'>;

/** Enrolment tokens that still admit devices, or did until they were used up. */
export function EnrolmentList() {
  const list = useInfiniteQuery(readPages('GET /api/v1/enrolment-tokens', {}));
  return (
    <ListTable
      label="Enrolment tokens"
      list={list}
      columns={COLUMNS}
      keyOf={({ id }) => id}
      empty={<EmptyState title="No enrolment tokens" hint="Create one and give it to the devices that shall register themselves." />}
    />
  );
}

const COLUMNS: readonly Column<Row>[] = [
  { id: 'last4', title: 'Ends with', width: '88px', cell: ({ last4 }) => <span className="mono">…{last4}</span> },
  { id: 'uses', title: 'Uses left', width: '80px', numeric: true, cell: ({ usesLeft }) => usesLeft.toLocaleString('en') },
  { id: 'source', title: 'Source', width: 'minmax(100px, 1fr)', cell: ({ sourceId }) => <SourceName id={sourceId} /> },
  { id: 'site', title: 'Site', width: 'minmax(100px, 1fr)', cell: ({ siteId }) => <SiteName id={siteId} /> },
  {
    id: 'labels',
    title: 'Labels',
    width: 'minmax(100px, 1fr)',
    cell: ({ labels }) =>
      Object.entries(labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(', '),
  },
  { id: 'expires', title: 'Expires', width: '104px', cell: ({ expiresAt }) => <Time at={expiresAt} /> },
  { id: 'act', title: '', width: '72px', cell: (token) => <Revoke token={token} /> },
];

function SourceName({ id }: { id: string | null }) {
  const { data } = useQuery(read('GET /api/v1/sources', { query: { limit: 500 } }));
  if (id === null) return null;
  return data?.items.find((source) => source.id === id)?.name ?? `${id.slice(0, 8)}…`;
}

function Revoke({ token: { id, last4 } }: { token: Row }) {
  const revoke = useAct('DELETE /api/v1/enrolment-tokens/{id}');
  return (
    <Confirm
      trigger={
        <Button size="1" variant="ghost" color="red" aria-label={`Revoke …${last4}`}>
          Revoke
        </Button>
      }
      title={`Revoke the enrolment token …${last4}?`}
      act="Revoke token"
      danger
      onConfirm={() => revoke.mutateAsync({ path: { id } })}
    >
      <Text size="2">No further device registers with it. Devices that did keep their keys.</Text>
    </Confirm>
  );
}
