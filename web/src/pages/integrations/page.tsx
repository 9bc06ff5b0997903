import { Badge, Button } from '@radix-ui/themes';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { Plus, RefreshCw } from 'lucide-react';
import { type ItemOf, read, readPages, useAct } from '../../api/query.ts';
import { useMay } from '../../app/session.ts';
import { type Column, DataTable } from '../../ui/data-table.tsx';
import { PageHead } from '../../ui/page-head.tsx';
import { EmptyState, ErrorState, Loaded } from '../../ui/states.tsx';
import { State } from '../../ui/status.tsx';
import { Time } from '../../ui/time.tsx';
import { AddIntegration } from './add.tsx';
import { SyncingOff } from './syncing-off.tsx';
import { DIRECTIONS } from './words.ts';

const route = getRouteApi('/signed-in/integrations');

type Listed = ItemOf<'GET /api/v1/integrations'>;

/** Accounts on device platforms. */
export function IntegrationsPage() {
  const { add } = route.useSearch();
  const mayAdd = useMay('admin');
  return add !== undefined && mayAdd ? <AddIntegration kind={add} /> : <Integrations />;
}

function Integrations() {
  const list = useInfiniteQuery(readPages('GET /api/v1/integrations', {}));
  const { data: providers } = useQuery(read('GET /api/v1/integrations/providers', {}));
  const navigate = useNavigate();
  const titles = new Map((providers?.items ?? []).map(({ kind, title }) => [kind, title]));
  return (
    <>
      <PageHead title="Integrations" acts={<Acts />} />
      <div className="stack">
        <SyncingOff />
        <Loaded result={list}>
          {({ pages }) => (
            <DataTable
              label="Integrations"
              columns={columnsOf(titles)}
              rows={pages.flatMap(({ items }) => items)}
              keyOf={({ slug }) => slug}
              onOpen={({ slug }) => void navigate({ to: '/integrations/$id', params: { id: slug } })}
              hasMore={list.hasNextPage}
              isLoadingMore={list.isFetchingNextPage}
              onMore={() => void list.fetchNextPage()}
              empty={<Empty />}
            />
          )}
        </Loaded>
      </div>
    </>
  );
}

function columnsOf(titles: ReadonlyMap<string, string>): Column<Listed>[] {
  return [
    {
      id: 'name',
      title: 'Name',
      width: 'minmax(180px, 2fr)',
      cell: ({ slug, name, primary }) => (
        <>
          <Link to="/integrations/$id" params={{ id: slug }}>
            {name}
          </Link>{' '}
          {primary && <Badge color="gray">Primary</Badge>}
        </>
      ),
    },
    { id: 'type', title: 'Platform', width: 'minmax(90px, 1fr)', cell: ({ type }) => titles.get(type) ?? type },
    { id: 'state', title: 'State', width: 'minmax(190px, 1.4fr)', cell: (integration) => <ListedState {...integration} /> },
    { id: 'direction', title: 'Direction', width: 'minmax(180px, 1fr)', cell: ({ direction }) => DIRECTIONS[direction] },
    { id: 'success', title: 'Last success', width: '120px', cell: ({ lastSuccessAt }) => <Time at={lastSuccessAt} /> },
    {
      id: 'next',
      title: 'Next sync',
      width: '110px',
      cell: ({ nextSyncAt, state }) =>
        nextSyncAt === null || state === 'disabled' || state === 'blocked' ? '–' : <Time at={nextSyncAt} />,
    },
    { id: 'conflicts', title: 'Conflicts', width: '80px', numeric: true, cell: ({ openConflicts }) => openConflicts.toLocaleString('en') },
    { id: 'devices', title: 'Devices', width: '80px', numeric: true, cell: ({ devices }) => devices.toLocaleString('en') },
  ];
}

/** A stale integration says since when, because its devices are shown as they were then. */
function ListedState({ state, staleSince }: Listed) {
  return (
    <>
      <State state={state} />
      {state === 'stale' && (
        <>
          {' '}
          since <Time at={staleSince} />
        </>
      )}
    </>
  );
}

function Empty() {
  const mayAdd = useMay('admin');
  return (
    <EmptyState
      title="No integration yet"
      hint="An integration mirrors the devices of a platform such as Golioth or Mobivisor here, and brings configuration to them."
    >
      {mayAdd && (
        <Button asChild>
          <Link to="/integrations" search={{ add: 'choose' }}>
            Add an integration
          </Link>
        </Button>
      )}
    </EmptyState>
  );
}

function Acts() {
  const mayAdd = useMay('admin');
  const maySync = useMay('operator');
  const syncAll = useAct('POST /api/v1/integrations:sync-all');
  return (
    <>
      {syncAll.error !== null && <ErrorState error={syncAll.error} />}
      {maySync && (
        <Button variant="soft" color="gray" loading={syncAll.isPending} onClick={() => syncAll.mutate({})}>
          <RefreshCw size={14} aria-hidden /> Sync all
        </Button>
      )}
      {mayAdd && (
        <Button asChild>
          <Link to="/integrations" search={{ add: 'choose' }}>
            <Plus size={14} aria-hidden /> Add an integration
          </Link>
        </Button>
      )}
    </>
  );
}
