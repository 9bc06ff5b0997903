import { Button, Code } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { readPages, useAct } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Delivery, Source } from '../../../generated/api.ts';
import { State, words } from '../../../ui/fleet/status.tsx';
import { EmptyState, ErrorState, Loading } from '../../../ui/states.tsx';
import { type Column, DataTable } from '../../../ui/table/data-table.tsx';
import { Time } from '../../../ui/time.tsx';
import { hostOf } from '../connection/hosts.ts';

/** A delivery that is refused is no event: while somebody looks, the page asks for it. */
const LOOK_EVERY_MS = 3_000;

export function deliveriesQuery(id: string) {
  return readPages('GET /api/v1/sources/{id}/deliveries', { path: { id } });
}

/** The requests of the host, with the verdict on each. */
export function Deliveries({ source }: { source: Source }) {
  const list = useInfiniteQuery({ ...deliveriesQuery(source.id), refetchInterval: LOOK_EVERY_MS });
  const rows = useMemo(() => list.data?.pages.flatMap(({ items }) => items) ?? [], [list.data]);
  const mayOperate = useMay('operator');
  const columns = useMemo(() => (mayOperate ? [...COLUMNS, actOf(source.id)] : COLUMNS), [mayOperate, source.id]);
  if (list.error !== null && rows.length === 0) return <ErrorState error={list.error} retry={() => void list.refetch()} />;
  if (list.isPending) return <Loading />;
  return (
    <DataTable
      label="Deliveries"
      columns={columns}
      rows={rows}
      keyOf={({ deliveryId, receivedAt }) => `${deliveryId} ${receivedAt}`}
      hasMore={list.hasNextPage}
      isLoadingMore={list.isFetchingNextPage}
      onMore={() => void list.fetchNextPage()}
      height="420px"
      empty={
        <EmptyState
          title="No delivery yet"
          hint="What the host posts to the hook URL stands here within seconds, also when it is refused."
        />
      }
    />
  );
}

const COLUMNS: readonly Column<Delivery>[] = [
  { id: 'verdict', title: 'Verdict', width: '150px', cell: ({ verdict }) => <State state={verdict} /> },
  { id: 'at', title: 'Received', width: '96px', cell: ({ receivedAt }) => <Time at={receivedAt} /> },
  { id: 'provider', title: 'Sender', width: '110px', cell: ({ provider }) => hostOf(provider)?.title ?? words(provider) },
  { id: 'event', title: 'Event', width: '104px', cell: ({ event }) => event && words(event) },
  { id: 'ref', title: 'Ref', width: 'minmax(80px, 1fr)', cell: ({ ref }) => ref?.replace(/^refs\/heads\//, '') },
  { id: 'commit', title: 'Commit', width: '88px', cell: ({ commit }) => commit && <Code>{commit.slice(0, 8)}</Code> },
  { id: 'detail', title: 'Why', width: 'minmax(140px, 3fr)', cell: ({ detail }) => <span title={detail ?? ''}>{detail}</span> },
];

/** Only these were taken; a refused delivery can only be sent again by its host. */
const REPEATABLE: readonly Delivery['verdict'][] = ['accepted', 'other_ref'];

function actOf(sourceId: string): Column<Delivery> {
  return {
    id: 'act',
    title: '',
    width: '88px',
    cell: (delivery) => REPEATABLE.includes(delivery.verdict) && <Redeliver sourceId={sourceId} delivery={delivery} />,
  };
}

function Redeliver({ sourceId, delivery: { deliveryId } }: { sourceId: string; delivery: Delivery }) {
  const act = useAct('POST /api/v1/sources/{id}/deliveries/{deliveryId}/redeliver');
  return (
    <Button
      size="1"
      variant="ghost"
      loading={act.isPending}
      color={act.error === null ? 'indigo' : 'red'}
      title={act.error?.message}
      onClick={() => act.mutate({ path: { id: sourceId, deliveryId } })}
    >
      {act.error !== null ? 'Failed' : act.isSuccess ? 'Queued' : 'Redeliver'}
    </Button>
  );
}
