import { Button, Text } from '@radix-ui/themes';
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { type ItemOf, read, readPages } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import { PageHead } from '../../ui/page-head.tsx';
import { EmptyState, ErrorState, Loading } from '../../ui/states.tsx';
import { DataTable, type Selection } from '../../ui/table/data-table.tsx';
import { BulkBar } from './bulk-bar.tsx';
import { COLUMNS } from './columns.tsx';
import { ExportMenu } from './export-menu.tsx';
import { Filters } from './filters.tsx';
import { ImportDialog } from './import-dialog.tsx';
import { filterOf, isFiltered } from './query.ts';
import { RegisterDialog } from './register-dialog.tsx';
import type { DevicesSearch } from './search.ts';

type Row = ItemOf<'GET /api/v1/devices'>;
const NOTHING: Selection = { ids: new Set(), all: false };

/** Every device of the organization: the server searches, filters, sorts, counts and pages. */
export function DevicesPage() {
  const search = useSearch({ from: '/signed-in/devices' });
  const navigate = useNavigate({ from: '/devices' });
  const [selection, setSelection] = useState(NOTHING);
  const mayOperate = useMay('operator');
  const filter = useMemo(() => filterOf(search), [search]);
  const { data: counts } = useQuery({ ...read('GET /api/v1/devices/counts', { query: filter }), placeholderData: keepPreviousData });
  const change = (next: Partial<DevicesSearch>) => {
    setSelection(NOTHING);
    void navigate({ search: (old) => ({ ...old, ...next }), replace: true });
  };
  return (
    <>
      <PageHead
        title="Devices"
        beside={counts && <Text color="gray">{counts.total.toLocaleString('en')}</Text>}
        acts={
          <>
            <ExportMenu filter={filter} />
            {mayOperate && <ImportDialog />}
            {mayOperate && <RegisterDialog />}
          </>
        }
      />
      <Filters search={search} counts={counts} onChange={change} />
      <DeviceTable search={search} filter={filter} total={counts?.total} selection={selection} onSelect={setSelection} onChange={change} />
      {mayOperate && selection.ids.size > 0 && (
        <BulkBar selection={selection} filter={filter} total={counts?.total ?? 0} onSelect={setSelection} />
      )}
    </>
  );
}

type TableProps = {
  search: DevicesSearch;
  filter: ReturnType<typeof filterOf>;
  total: number | undefined;
  selection: Selection;
  onSelect: (selection: Selection) => void;
  onChange: (next: Partial<DevicesSearch>) => void;
};

function DeviceTable({ search, filter, total, selection, onSelect, onChange }: TableProps) {
  const navigate = useNavigate();
  const mayOperate = useMay('operator');
  const sort = { by: search.sort ?? 'id', order: search.order ?? 'asc' } as const;
  const query = { ...filter, sort: sort.by, order: sort.order };
  const list = useInfiniteQuery({ ...readPages('GET /api/v1/devices', { query }), placeholderData: keepPreviousData });
  const rows: Row[] = useMemo(() => list.data?.pages.flatMap(({ items }) => items) ?? [], [list.data]);
  if (list.error !== null && rows.length === 0) return <ErrorState error={list.error} retry={() => void list.refetch()} />;
  if (list.isPending) return <Loading lines={8} />;
  return (
    <DataTable
      label="Devices"
      columns={COLUMNS}
      rows={rows}
      keyOf={({ id }) => id}
      onOpen={({ id }) => void navigate({ to: '/devices/$id', params: { id } })}
      sort={sort}
      onSort={({ by, order }) => onChange({ sort: by as NonNullable<DevicesSearch['sort']>, order })}
      {...(mayOperate ? { selection, onSelect } : {})}
      hasMore={list.hasNextPage}
      isLoadingMore={list.isFetchingNextPage}
      onMore={() => void list.fetchNextPage()}
      total={total}
      empty={<NoDevices isFiltered={isFiltered(search)} />}
    />
  );
}

function NoDevices({ isFiltered: filtered }: { isFiltered: boolean }) {
  if (filtered)
    return (
      <EmptyState
        title="No device matches the filter"
        hint="Take a part of the filter away, or search for a part of an id, a name or a label."
      >
        <Button asChild variant="soft">
          <Link to="/devices">Show all devices</Link>
        </Button>
      </EmptyState>
    );
  return (
    <EmptyState
      title="No devices yet"
      hint="Register one here, import a list, or give an enrolment token to your devices: they register themselves."
    />
  );
}
