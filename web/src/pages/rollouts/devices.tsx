import { Flex } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { type ItemOf, readPages } from '../../api/query.ts';
import { State, words } from '../../ui/fleet/status.tsx';
import { EmptyState, Loading } from '../../ui/states.tsx';
import { type Column, DataTable } from '../../ui/table/data-table.tsx';
import { FilterMenu } from '../../ui/table/filter-menu.tsx';
import { Time } from '../../ui/time.tsx';

type Row = ItemOf<'GET /api/v1/rollouts/{id}/devices'>;
const OUTCOMES = ['failed', 'open', 'offline', 'succeeded', 'quarantined', 'gone'] as const;

const COLUMNS: readonly Column<Row>[] = [
  { id: 'device', title: 'Device', width: 'minmax(160px, 1fr)', cell: ({ deviceId }) => deviceId },
  { id: 'wave', title: 'Wave', width: '60px', numeric: true, cell: ({ wave }) => (wave === null ? '' : wave + 1) },
  { id: 'outcome', title: 'Outcome', width: '150px', cell: ({ outcome }) => <State state={outcome} /> },
  { id: 'state', title: 'Attempt', width: '130px', cell: ({ state }) => (state === null ? '' : words(state)) },
  { id: 'error', title: 'Error', width: 'minmax(200px, 2.5fr)', cell: ({ error }) => error?.detail ?? '' },
  { id: 'at', title: 'Ended', width: '110px', cell: ({ finishedAt }) => (finishedAt === null ? '' : <Time at={finishedAt} />) },
];

/** Every device of the rollout as a table. */
export function RolloutDevices({ id }: { id: string }) {
  const search = useSearch({ from: '/signed-in/rollouts/$id' });
  const navigate = useNavigate({ from: '/rollouts/$id' });
  const open = useNavigate();
  const outcome = OUTCOMES.find((each) => each === search.outcome);
  const query = outcome === undefined ? {} : { outcome };
  const list = useInfiniteQuery(readPages('GET /api/v1/rollouts/{id}/devices', { path: { id }, query }));
  const rows = useMemo(() => list.data?.pages.flatMap(({ items }) => items) ?? [], [list.data]);
  if (list.isPending) return <Loading />;
  return (
    <Flex direction="column" gap="3">
      <Flex>
        <FilterMenu
          label="Outcome"
          value={outcome}
          options={OUTCOMES.map((value) => ({ value, label: words(value) }))}
          onChange={(value) => void navigate({ search: (old) => ({ ...old, outcome: value }) })}
        />
      </Flex>
      <DataTable
        label="Devices of the rollout"
        columns={COLUMNS}
        rows={rows}
        keyOf={({ deviceId }) => deviceId}
        onOpen={({ deviceId }) => void open({ to: '/devices/$id', params: { id: deviceId }, search: { tab: 'history' } })}
        hasMore={list.hasNextPage}
        isLoadingMore={list.isFetchingNextPage}
        onMore={() => void list.fetchNextPage()}
        empty={<EmptyState title="No device" hint="No device of this rollout has that outcome." />}
        height="calc(100vh - 420px)"
      />
    </Flex>
  );
}
