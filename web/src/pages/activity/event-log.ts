import { type InfiniteData, useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { type Answer, call } from '../../api/client.ts';
import { useLive } from '../../live/live.tsx';

export type EventFilter = {
  type?: string | undefined;
  subject?: string | undefined;
  after?: string | undefined;
  before?: string | undefined;
};
type Page = Answer<'GET /api/v1/events'>;
export type LoggedEvent = { cursor: number; type: string; at: string; subject: string; data: Record<string, unknown> };

const PAGE = 100;
/** More events than this since the page was read: the newest page is read again, and older ones when they come into view. */
const MAX_ARRIVED = 500;

/**
 * The event log, newest first: pages of the server, and before them what has arrived since. Events only add to it, so that it is never read again.
 * @param isPaused what arrives waits, so that the rows stand still
 */
export function useEventLog(filter: EventFilter, isPaused: boolean) {
  const client = useQueryClient();
  const { type, subject, after, before } = filter;
  const queryKey = ['event log', filter] as const;
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) =>
      call(
        'GET /api/v1/events',
        {
          query: {
            ...{ order: 'desc', limit: PAGE },
            ...(pageParam !== '' && { cursor: pageParam }),
            ...(type !== undefined && { type }),
            ...(subject !== undefined && { subject }),
            ...(after !== undefined && { since: after }),
            ...(before !== undefined && { until: before }),
          },
        },
        signal,
      ),
    initialPageParam: '',
    getNextPageParam: (last: Page) => last.nextCursor ?? undefined,
    // Read anew for each visit: what happened between two visits did not arrive here.
    gcTime: 0,
  });
  const { arrived, waiting } = useArrivals(filter, isPaused, () => {
    client.setQueryData<InfiniteData<Page>>(
      queryKey,
      (old) => old && { pages: old.pages.slice(0, 1), pageParams: old.pageParams.slice(0, 1) },
    );
    void query.refetch();
  });
  const stored: LoggedEvent[] = (query.data?.pages ?? []).flatMap(({ items }) =>
    items.map((event) => ({ ...event, data: { ...event.data } })),
  );
  const newest = stored[0]?.cursor ?? 0;
  return { query, waiting, events: [...arrived.filter(({ cursor }) => cursor > newest), ...stored] };
}

type Arrivals = { key: string; arrived: readonly LoggedEvent[]; waiting: readonly LoggedEvent[] };

function useArrivals(filter: EventFilter, isPaused: boolean, onMany: () => void) {
  const key = JSON.stringify(filter);
  const [kept, setKept] = useState<Arrivals>({ key, arrived: [], waiting: [] });
  const current = kept.key === key ? kept : { key, arrived: [], waiting: [] };
  // Events that waited while the log was paused are shown when it goes on.
  if (kept !== current || (!isPaused && current.waiting.length > 0))
    setKept({ key, arrived: [...current.waiting, ...current.arrived], waiting: [] });
  useLive(['events'], ({ events }) => {
    const fresh = events.filter((event) => isWanted(event, filter)).toReversed();
    if (fresh.length === 0) return;
    if (isPaused) return setKept({ ...current, waiting: [...fresh, ...current.waiting].slice(0, MAX_ARRIVED) });
    if (current.arrived.length + fresh.length <= MAX_ARRIVED) return setKept({ ...current, arrived: [...fresh, ...current.arrived] });
    setKept({ key, arrived: [], waiting: [] });
    onMany();
  });
  return { arrived: current.arrived, waiting: current.waiting.length };
}

/** As the server decides it. */
function isWanted(event: LoggedEvent, { type, subject, after, before }: EventFilter): boolean {
  const isType = type === undefined || (type.endsWith('.*') ? event.type.startsWith(type.slice(0, -1)) : event.type === type);
  const at = Date.parse(event.at);
  return (
    isType &&
    (subject === undefined || event.subject === subject) &&
    (after === undefined || at >= Date.parse(after)) &&
    (before === undefined || at < Date.parse(before))
  );
}
