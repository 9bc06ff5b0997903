import type { useInfiniteQuery } from '@tanstack/react-query';
import { type ReactNode, useMemo } from 'react';
import { ErrorState, Loading } from '../../ui/states.tsx';
import { type Column, DataTable } from '../../ui/table/data-table.tsx';

type List<Row> = Pick<
  ReturnType<typeof useInfiniteQuery<{ items: Row[] }>>,
  'error' | 'refetch' | 'isPending' | 'hasNextPage' | 'isFetchingNextPage' | 'fetchNextPage'
> & { data: { pages: readonly { items: Row[] }[] } | undefined };

type Props<Row> = {
  label: string;
  list: List<Row>;
  columns: readonly Column<Row>[];
  keyOf: (row: Row) => string;
  onOpen?: (row: Row) => void;
  empty: ReactNode;
  height?: string;
};

/** A list of the API as a table, with its states. */
export function ListTable<Row>({ list, empty, ...table }: Props<Row>) {
  const rows = useMemo(() => list.data?.pages.flatMap(({ items }) => items) ?? [], [list.data]);
  if (list.error !== null && rows.length === 0) return <ErrorState error={list.error as Error} retry={() => void list.refetch()} />;
  if (list.isPending) return <Loading />;
  return (
    <DataTable
      {...table}
      rows={rows}
      hasMore={list.hasNextPage}
      isLoadingMore={list.isFetchingNextPage}
      onMore={() => void list.fetchNextPage()}
      empty={empty}
    />
  );
}
