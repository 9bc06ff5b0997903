import { Flex, Text } from '@radix-ui/themes';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { type ItemOf, read, readPages } from '../../api/query.ts';
import { State, words } from '../../ui/fleet/status.tsx';
import { PageHead } from '../../ui/page-head.tsx';
import { EmptyState, ErrorState, Loading } from '../../ui/states.tsx';
import { type Column, DataTable } from '../../ui/table/data-table.tsx';
import { FilterMenu } from '../../ui/table/filter-menu.tsx';
import { Time } from '../../ui/time.tsx';
import { RevisionTitle, SourceName } from './names.tsx';
import { ROLLOUT_STATES } from './search.ts';

type Row = ItemOf<'GET /api/v1/rollouts'>;

const COLUMNS: readonly Column<Row>[] = [
  { id: 'state', title: 'State', width: '170px', cell: ({ state }) => <State state={state} /> },
  { id: 'source', title: 'Source', width: 'minmax(120px, .8fr)', cell: ({ sourceId }) => <SourceName id={sourceId} /> },
  { id: 'commit', title: 'Commit', width: 'minmax(220px, 2fr)', cell: ({ revisionId }) => <RevisionTitle id={revisionId} /> },
  { id: 'kind', title: 'Kind', width: '100px', cell: ({ kind }) => words(kind) },
  {
    id: 'why',
    title: 'Waits or ended because',
    width: 'minmax(180px, 1.6fr)',
    cell: ({ waiting, end }) => <Text color="gray">{waiting?.detail ?? end?.detail ?? ''}</Text>,
  },
  { id: 'at', title: 'Started', width: '110px', cell: ({ startedAt, createdAt }) => <Time at={startedAt ?? createdAt} /> },
];

export function RolloutsPage() {
  const search = useSearch({ from: '/signed-in/rollouts' });
  const navigate = useNavigate({ from: '/rollouts' });
  const { data: sources } = useQuery(read('GET /api/v1/sources', { query: { limit: 100 } }));
  const [state] = search.state ?? [];
  const query = { ...(state === undefined ? {} : { state }), ...(search.source === undefined ? {} : { sourceId: search.source }) };
  const list = useInfiniteQuery(readPages('GET /api/v1/rollouts', { query }));
  const rows = useMemo(() => list.data?.pages.flatMap(({ items }) => items) ?? [], [list.data]);
  const open = useNavigate();
  return (
    <>
      <PageHead title="Rollouts" />
      <Flex gap="2" mb="3" wrap="wrap">
        <FilterMenu
          label="State"
          value={state}
          options={ROLLOUT_STATES.map((value) => ({ value, label: words(value) }))}
          onChange={(value) => void navigate({ search: (old) => ({ ...old, state: ROLLOUT_STATES.filter((each) => each === value) }) })}
        />
        <FilterMenu
          label="Source"
          value={search.source}
          options={(sources?.items ?? []).map(({ id, name }) => ({ value: id, label: name }))}
          onChange={(source) => void navigate({ search: (old) => ({ ...old, source }) })}
        />
      </Flex>
      {list.error !== null && rows.length === 0 ? (
        <ErrorState error={list.error} retry={() => void list.refetch()} />
      ) : list.isPending ? (
        <Loading />
      ) : (
        <DataTable
          label="Rollouts"
          columns={COLUMNS}
          rows={rows}
          keyOf={({ id }) => id}
          onOpen={({ id }) => void open({ to: '/rollouts/$id', params: { id } })}
          hasMore={list.hasNextPage}
          isLoadingMore={list.isFetchingNextPage}
          onMore={() => void list.fetchNextPage()}
          empty={<EmptyState title="No rollout" hint="A push to a source starts one. Take the filter away to see those that ended." />}
        />
      )}
    </>
  );
}
