import { Button, Flex, Text } from '@radix-ui/themes';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { ArrowUp, Pause, Play } from 'lucide-react';
import { type UIEvent, useState } from 'react';
import { type Column, DataTable } from '../../ui/data-table.tsx';
import { EventLine } from '../../ui/event-line.tsx';
import { EmptyState, ErrorState, Loading } from '../../ui/states.tsx';
import { Details } from './details.tsx';
import { type LoggedEvent, useEventLog } from './event-log.ts';
import { Filters, TextFilter, TimeFilter, TypeFilter } from './filters.tsx';

const route = getRouteApi('/signed-in/activity');

const COLUMNS: readonly Column<LoggedEvent>[] = [
  { id: 'event', title: 'Event', width: 'minmax(420px, 1fr)', cell: (event) => <EventLine event={event} /> },
  { id: 'type', title: 'Type', width: '190px', cell: ({ type }) => <span className="mono">{type}</span> },
];
/** A reader who has scrolled this far reads older events. */
const READING_PX = 40;

/** The event log, live. It stands still while somebody reads further down, or presses Pause. */
export function EventLog() {
  const { type, subject, after, before } = route.useSearch();
  const [isStopped, setStopped] = useState(false);
  const [isReading, setReading] = useState(false);
  const isPaused = isStopped || isReading;
  const { query, events, waiting } = useEventLog({ type, subject, after, before }, isPaused);
  const onScroll = ({ target }: UIEvent) => {
    if (target instanceof Element && target.matches('.table')) setReading(target.scrollTop > READING_PX);
  };
  const goOn = () => {
    setStopped(false);
    document.querySelector('main .table')?.scrollTo({ top: 0 });
  };
  return (
    <div className="stack">
      <Filters label="Filters of the events">
        <TypeFilter />
        <TextFilter name="subject" label="Subject, such as device:till-0001" />
        <TimeFilter name="after" label="From" />
        <TimeFilter name="before" label="To" />
      </Filters>
      <Flex gap="3" align="center" wrap="wrap">
        <Button variant="soft" color="gray" size="1" onClick={() => (isStopped ? goOn() : setStopped(true))} aria-pressed={isStopped}>
          {isStopped ? <Play size={12} aria-hidden /> : <Pause size={12} aria-hidden />}
          {isStopped ? 'Go on' : 'Pause'}
        </Button>
        <Arrivals waiting={waiting} isPaused={isPaused} onShow={goOn} />
      </Flex>
      {query.error !== null && <ErrorState error={query.error} retry={() => void query.refetch()} />}
      {query.isPending ? <Loading lines={8} /> : <Rows {...{ query, events, onScroll }} />}
    </div>
  );
}

function Arrivals({ waiting, isPaused, onShow }: { waiting: number; isPaused: boolean; onShow: () => void }) {
  if (waiting > 0)
    return (
      <Button size="1" onClick={onShow}>
        <ArrowUp size={12} aria-hidden /> Show {waiting} new {waiting === 1 ? 'event' : 'events'}
      </Button>
    );
  return (
    <Text size="1" color="gray" role="status">
      {isPaused ? 'Paused: new events wait.' : 'New events appear as they happen.'}
    </Text>
  );
}

type RowsProps = Pick<ReturnType<typeof useEventLog>, 'query' | 'events'> & { onScroll: (event: UIEvent) => void };

function Rows({ query, events, onScroll }: RowsProps) {
  const { at, ...search } = route.useSearch();
  const navigate = useNavigate();
  const opened = events.find(({ cursor }) => String(cursor) === at);
  const show = (shown: string | undefined) =>
    void navigate({ to: '/activity', search: shown === undefined ? search : { ...search, at: shown }, replace: true });
  return (
    <>
      <div onScrollCapture={onScroll}>
        <DataTable
          label="Events"
          columns={COLUMNS}
          rows={events}
          keyOf={({ cursor }) => String(cursor)}
          onOpen={({ cursor }) => show(String(cursor))}
          hasMore={query.hasNextPage}
          isLoadingMore={query.isFetchingNextPage}
          onMore={() => void query.fetchNextPage()}
          height={opened === undefined ? 'calc(100vh - 320px)' : 'calc(60vh - 200px)'}
          empty={<EmptyState title="No event matches" hint="Events are kept for a limited time. Choose another type, subject or time." />}
        />
      </div>
      {opened !== undefined && <Details title={opened.type} at={opened.at} data={opened.data} onClose={() => show(undefined)} />}
    </>
  );
}
