import { Badge, IconButton } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { X } from 'lucide-react';
import { readPages } from '../../api/query.ts';
import type { SyncLogEntry } from '../../generated/api.ts';
import { type Column, DataTable } from '../../ui/data-table.tsx';
import { EmptyState, Loaded } from '../../ui/states.tsx';
import { State, words } from '../../ui/status.tsx';
import { duration, Time } from '../../ui/time.tsx';
import { type Counts, countsOf } from './counts.ts';
import { valueText } from './words.ts';

const route = getRouteApi('/signed-in/integrations/$id');

const count = (id: keyof Counts, title: string): Column<SyncLogEntry> => ({
  id,
  title,
  width: '74px',
  numeric: true,
  cell: ({ details }) => (countsOf(details)[id] ?? 0).toLocaleString('en'),
});

const RUNS: readonly Column<SyncLogEntry>[] = [
  { id: 'status', title: 'Outcome', width: '110px', cell: ({ status }) => <State state={status} /> },
  { id: 'began', title: 'Began', width: '110px', cell: ({ startedAt }) => <Time at={startedAt} /> },
  {
    id: 'operation',
    title: 'Kind',
    width: '90px',
    cell: ({ operation }) => (
      <span title={operation === 'walk' ? 'Reads all devices' : 'Writes waiting values'}>{operation === 'walk' ? 'Full' : 'Export'}</span>
    ),
  },
  { id: 'trigger', title: 'Asked by', width: 'minmax(110px, 1fr)', cell: ({ trigger }) => trigger ?? 'schedule' },
  ...[
    count('seen', 'Read'),
    count('created', 'Created'),
    count('updated', 'Updated'),
    count('exported', 'Written'),
    count('archived', 'Archived'),
    count('conflicts', 'Conflicts'),
    count('failed', 'Failed'),
  ],
  {
    id: 'duration',
    title: 'Duration',
    width: '90px',
    numeric: true,
    cell: ({ durationMs }) => (durationMs === null ? '–' : duration(durationMs)),
  },
  {
    id: 'error',
    title: 'Error',
    width: 'minmax(120px, 1.6fr)',
    cell: ({ error }) => <span title={error?.detail}>{error?.detail ?? ''}</span>,
  },
];

/** Every sync with what it did, and the devices that it changed. */
export function History({ slug }: { slug: string }) {
  const { run } = route.useSearch();
  const navigate = useNavigate();
  const runs = useInfiniteQuery(readPages('GET /api/v1/integrations/{id}/sync-log', { path: { id: slug }, query: { kind: 'runs' } }));
  const show = (shown?: string) =>
    void navigate({
      to: '/integrations/$id',
      params: { id: slug },
      search: { tab: 'history', ...(shown !== undefined && { run: shown }) },
      replace: true,
    });
  return (
    <div className="stack">
      {run !== undefined && <RunChanges key={run} {...{ slug, run }} onClose={() => show()} />}
      <Loaded result={runs}>
        {({ pages }) => (
          <DataTable
            label="Syncs"
            columns={RUNS}
            rows={pages.flatMap(({ items }) => items)}
            keyOf={({ id }) => String(id)}
            onOpen={({ runId }) => show(runId)}
            hasMore={runs.hasNextPage}
            isLoadingMore={runs.isFetchingNextPage}
            onMore={() => void runs.fetchNextPage()}
            height="calc(100vh - 320px)"
            empty={<EmptyState title="No sync yet" hint="The first one begins by itself, or when somebody asks for it with Sync now." />}
          />
        )}
      </Loaded>
    </div>
  );
}

const CHANGES: readonly Column<SyncLogEntry>[] = [
  {
    id: 'device',
    title: 'Device',
    width: 'minmax(150px, 1fr)',
    cell: ({ deviceId, externalId }) =>
      deviceId === null ? (
        (externalId ?? 'unknown')
      ) : (
        <Link to="/devices/$id" params={{ id: deviceId }}>
          {deviceId}
        </Link>
      ),
  },
  { id: 'operation', title: 'Change', width: '110px', cell: ({ operation }) => words(operation) },
  {
    id: 'direction',
    title: 'Side',
    width: '130px',
    cell: ({ direction }) => (direction === 'export' ? 'At the platform' : direction === 'import' ? 'Here' : '–'),
  },
  {
    id: 'fields',
    title: 'Fields',
    width: 'minmax(220px, 3fr)',
    cell: ({ details, error }) => (error === null ? <Changed details={details} /> : <span title={error.detail}>{error.detail}</span>),
  },
  { id: 'status', title: 'Outcome', width: '110px', cell: ({ status }) => <State state={status} /> },
];

function RunChanges({ slug, run, onClose }: { slug: string; run: string; onClose: () => void }) {
  const changes = useInfiniteQuery(
    readPages('GET /api/v1/integrations/{id}/sync-log', { path: { id: slug }, query: { kind: 'devices', run } }),
  );
  return (
    <section className="panel" aria-label="Changes of the sync">
      <div className="panel-head">
        Changes of the sync <Badge color="gray">{run.slice(0, 8)}</Badge>
        <IconButton variant="ghost" color="gray" size="1" aria-label="Close the sync" onClick={onClose} style={{ marginLeft: 'auto' }}>
          <X size={14} />
        </IconButton>
      </div>
      <div className="panel-body">
        <Loaded result={changes}>
          {({ pages }) => (
            <DataTable
              label="Devices that the sync changed"
              columns={CHANGES}
              rows={pages.flatMap(({ items }) => items)}
              keyOf={({ id }) => String(id)}
              hasMore={changes.hasNextPage}
              isLoadingMore={changes.isFetchingNextPage}
              onMore={() => void changes.fetchNextPage()}
              height="40vh"
              empty={<EmptyState title="It changed no device" />}
            />
          )}
        </Loaded>
      </div>
    </section>
  );
}

/** "name: meter-1 → meter-one, tags: …" */
function Changed({ details }: { details: Record<string, unknown> }) {
  const text = Object.entries(details)
    .map(([field, value]) => `${field}: ${changeText(value)}`)
    .join(', ');
  return <span title={text}>{text}</span>;
}

/** Either a value, or what it was and what it is now. */
function changeText(value: unknown): string {
  if (typeof value !== 'object' || value === null || !('from' in value && 'to' in value)) return valueText(value);
  return `${valueText(value.from)} → ${valueText(value.to)}`;
}
