import { Button, Flex, Text } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { Download } from 'lucide-react';
import { addressOf } from '../../api/client.ts';
import { type ItemOf, readPages } from '../../api/query.ts';
import { type Column, DataTable } from '../../ui/data-table.tsx';
import { EmptyState, Loaded } from '../../ui/states.tsx';
import { State } from '../../ui/status.tsx';
import { Time } from '../../ui/time.tsx';
import { Details } from './details.tsx';
import { Filters, TextFilter, TimeFilter } from './filters.tsx';

const route = getRouteApi('/signed-in/activity');

type Entry = ItemOf<'GET /api/v1/audit'>;

const COLUMNS: readonly Column<Entry>[] = [
  { id: 'at', title: 'When', width: '190px', cell: ({ at }) => <Time at={at} exact /> },
  { id: 'actor', title: 'Who', width: 'minmax(130px, 1fr)', cell: ({ actor }) => actor },
  { id: 'action', title: 'Action', width: 'minmax(170px, 1fr)', cell: ({ action }) => <span className="mono">{action}</span> },
  { id: 'subject', title: 'Subject', width: 'minmax(200px, 1.6fr)', cell: ({ subject }) => <span title={subject}>{subject}</span> },
  { id: 'outcome', title: 'Outcome', width: '110px', cell: ({ outcome }) => <State state={outcome} /> },
  {
    id: 'commit',
    title: 'Commit',
    width: '100px',
    cell: ({ commit }) => (commit === null ? '' : <span className="mono">{commit.slice(0, 10)}</span>),
  },
];

/** The audit log: who did what, when, and how it ended. */
export function AuditLog() {
  const { subject, actor, action, after, before } = route.useSearch();
  const query = {
    ...(subject !== undefined && { subject }),
    ...(actor !== undefined && { actor }),
    ...(action !== undefined && { action }),
    ...(after !== undefined && { after }),
    ...(before !== undefined && { before }),
  };
  return (
    <div className="stack">
      <Filters label="Filters of the audit log">
        <TextFilter name="actor" label="Who, such as token:ci" />
        <TextFilter name="action" label="Action, such as integration.*" />
        <TextFilter name="subject" label="Subject, such as device:till-0001" />
        <TimeFilter name="after" label="From" />
        <TimeFilter name="before" label="To" />
      </Filters>
      <Flex gap="3" align="center" wrap="wrap">
        <Text size="1" color="gray">
          Export these entries
        </Text>
        {(['csv', 'jsonl'] as const).map((format) => (
          <Button key={format} asChild variant="soft" color="gray" size="1">
            <a href={addressOf('GET /api/v1/audit/export', { query: { ...query, format } })} download>
              <Download size={12} aria-hidden /> {format === 'csv' ? 'CSV' : 'JSON lines'}
            </a>
          </Button>
        ))}
      </Flex>
      <Entries query={query} />
    </div>
  );
}

function Entries({ query }: { query: Record<string, string> }) {
  const { at, ...search } = route.useSearch();
  const navigate = useNavigate();
  const entries = useInfiniteQuery(readPages('GET /api/v1/audit', { query }));
  const show = (id: number | undefined) =>
    void navigate({ to: '/activity', search: id === undefined ? search : { ...search, at: String(id) }, replace: true });
  return (
    <Loaded result={entries} lines={8}>
      {({ pages }) => {
        const rows = pages.flatMap(({ items }) => items);
        const opened = rows.find(({ id }) => String(id) === at);
        return (
          <>
            <DataTable
              label="Audit log"
              columns={COLUMNS}
              rows={rows}
              keyOf={({ id }) => String(id)}
              onOpen={({ id }) => show(id)}
              hasMore={entries.hasNextPage}
              isLoadingMore={entries.isFetchingNextPage}
              onMore={() => void entries.fetchNextPage()}
              height={opened === undefined ? 'calc(100vh - 320px)' : 'calc(60vh - 200px)'}
              empty={<EmptyState title="No entry matches" hint="An action may end in .* to mean all of its noun, such as integration.*" />}
            />
            {opened !== undefined && (
              <Details title={`${opened.action} by ${opened.actor}`} at={opened.at} data={opened.detail} onClose={() => show(undefined)} />
            )}
          </>
        );
      }}
    </Loaded>
  );
}
