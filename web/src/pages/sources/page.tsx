import { Button, Code, Text } from '@radix-ui/themes';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useMemo } from 'react';
import { read, readPages } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import type { Source } from '../../generated/api.ts';
import { State } from '../../ui/fleet/status.tsx';
import { PageHead } from '../../ui/page-head.tsx';
import { EmptyState, ErrorState, Loading } from '../../ui/states.tsx';
import { type Column, DataTable } from '../../ui/table/data-table.tsx';
import { Time } from '../../ui/time.tsx';
import { CreateSource } from './connection/create-source.tsx';

/** Every repository that the fleet follows, with its state and what is wrong with it. */
export function SourcesPage() {
  const mayOperate = useMay('operator');
  const list = useInfiniteQuery(readPages('GET /api/v1/sources', {}));
  const rows = useMemo(() => list.data?.pages.flatMap(({ items }) => items) ?? [], [list.data]);
  const navigate = useNavigate();
  const columns = useColumns();
  return (
    <>
      <PageHead title="Sources" acts={mayOperate && <CreateSource />} />
      {list.error !== null && rows.length === 0 ? (
        <ErrorState error={list.error} retry={() => void list.refetch()} />
      ) : list.isPending ? (
        <Loading lines={6} />
      ) : (
        <DataTable
          label="Sources"
          columns={columns}
          rows={rows}
          keyOf={({ id }) => id}
          onOpen={({ id }) => void navigate({ to: '/sources/$id', params: { id } })}
          hasMore={list.hasNextPage}
          isLoadingMore={list.isFetchingNextPage}
          onMore={() => void list.fetchNextPage()}
          empty={<NoSources mayOperate={mayOperate} />}
        />
      )}
    </>
  );
}

function NoSources({ mayOperate }: { mayOperate: boolean }) {
  const navigate = useNavigate();
  return (
    <EmptyState
      title="No sources yet"
      hint="A source is a Git repository with the configuration of devices. Add the first one; devices follow it from its next commit on."
    >
      {mayOperate && (
        <Button variant="soft" onClick={() => void navigate({ to: '/sources', search: { new: true } })}>
          Add a source
        </Button>
      )}
    </EmptyState>
  );
}

function useColumns(): Column<Source>[] {
  const { data: counts } = useQuery(read('GET /api/v1/devices/counts', {}));
  return useMemo(
    () => [
      {
        id: 'name',
        title: 'Name',
        width: 'minmax(120px, 1fr)',
        cell: ({ name }) => (
          <Text weight="medium" title={name}>
            {name}
          </Text>
        ),
      },
      { id: 'state', title: 'State', width: '140px', cell: (source) => <State state={source.hold === null ? source.status : 'held'} /> },
      { id: 'url', title: 'Repository', width: 'minmax(180px, 2fr)', cell: ({ url }) => <span title={url}>{url}</span> },
      { id: 'ref', title: 'Ref', width: 'minmax(60px, 110px)', cell: ({ ref }) => <span title={ref}>{ref}</span> },
      { id: 'layout', title: 'Layout', width: '56px', cell: ({ layout }) => layout },
      { id: 'commit', title: 'Last commit', width: '88px', cell: ({ headCommit }) => headCommit && <Code>{headCommit.slice(0, 8)}</Code> },
      { id: 'synced', title: 'Last synced', width: '96px', cell: ({ lastSyncedAt }) => <Time at={lastSyncedAt} /> },
      { id: 'error', title: 'Error', width: 'minmax(120px, 2fr)', cell: (source) => <ErrorText source={source} /> },
      { id: 'devices', title: 'Devices', width: '72px', numeric: true, cell: ({ id }) => devicesOf(counts, id) },
    ],
    [counts],
  );
}

function ErrorText({ source: { lastError } }: { source: Source }) {
  return (
    lastError && (
      <Text color="red" title={lastError.detail}>
        {lastError.detail}
      </Text>
    )
  );
}

type Counts = { bySource: { items: { value: string | null; count: number }[]; other: number } };

/** The API counts the devices of the 50 largest sources; of any other source the number is shown on its page. */
function devicesOf(counts: Counts | undefined, id: string): string {
  if (counts === undefined) return '';
  const count = counts.bySource.items.find(({ value }) => value === id)?.count;
  return count?.toLocaleString('en') ?? (counts.bySource.other === 0 ? '0' : '');
}
