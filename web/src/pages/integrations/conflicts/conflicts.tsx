import { SegmentedControl } from '@radix-ui/themes';
import { useInfiniteQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { readPages } from '../../../api/query.ts';
import { useMay } from '../../../app/session.ts';
import type { Conflict, Integration } from '../../../generated/api.ts';
import { words } from '../../../ui/fleet/status.tsx';
import { EmptyState, Loaded } from '../../../ui/states.tsx';
import { type Column, DataTable, type Selection } from '../../../ui/table/data-table.tsx';
import { Time } from '../../../ui/time.tsx';
import { resolutionText, valueText } from '../words.ts';
import { ConflictPanel } from './conflict.tsx';
import { ResolveMany } from './resolve-many.tsx';

const route = getRouteApi('/signed-in/integrations/$id');

const STATES = ['open', 'resolved', 'obsolete'] as const;
const NONE: Selection = { ids: new Set(), all: false };

const BASE: readonly Column<Conflict>[] = [
  {
    id: 'device',
    title: 'Device',
    width: 'minmax(140px, 1fr)',
    cell: ({ deviceId }) => (
      <Link to="/devices/$id" params={{ id: deviceId }}>
        {deviceId}
      </Link>
    ),
  },
  { id: 'field', title: 'Field', width: 'minmax(90px, 0.6fr)', cell: ({ field }) => field },
  { id: 'base', title: 'Last common value', width: 'minmax(130px, 1fr)', cell: ({ base }) => <Shown value={base} /> },
  { id: 'local', title: 'Here', width: 'minmax(130px, 1fr)', cell: ({ local }) => <Shown value={local} /> },
  { id: 'remote', title: 'At the platform', width: 'minmax(130px, 1fr)', cell: ({ remote }) => <Shown value={remote} /> },
];
const SINCE: Column<Conflict> = { id: 'since', title: 'Since', width: '110px', cell: ({ createdAt }) => <Time at={createdAt} /> };
const ENDED: readonly Column<Conflict>[] = [
  { id: 'resolution', title: 'Resolved with', width: 'minmax(120px, 0.8fr)', cell: (conflict) => resolutionText(conflict) },
  { id: 'by', title: 'By', width: 'minmax(150px, 0.8fr)', cell: ({ resolvedBy }) => resolvedBy ?? 'the sides agreed' },
  { id: 'at', title: 'When', width: '110px', cell: ({ resolvedAt }) => <Time at={resolvedAt} /> },
];

function Shown({ value }: { value: unknown }) {
  const text = valueText(value);
  return (
    <span className="mono" title={text}>
      {text}
    </span>
  );
}

/** Fields that both sides changed since their last common value. */
export function Conflicts({ integration: { slug } }: { integration: Integration }) {
  const { state = 'open', at } = route.useSearch();
  const navigate = useNavigate();
  const mayResolve = useMay('operator') && state === 'open';
  const [selection, setSelection] = useState<Selection>(NONE);
  const list = useInfiniteQuery(readPages('GET /api/v1/integrations/{id}/conflicts', { path: { id: slug }, query: { state } }));
  const go = (search: { state?: (typeof STATES)[number]; at?: string }) =>
    void navigate({ to: '/integrations/$id', params: { id: slug }, search: { tab: 'conflicts', ...search }, replace: true });
  const show = (id?: string) => go({ ...(state !== 'open' && { state }), ...(id !== undefined && { at: id }) });
  const choose = (chosen: string) => {
    setSelection(NONE);
    const known = STATES.find((one) => one === chosen);
    go(known === undefined || known === 'open' ? {} : { state: known });
  };
  return (
    <div className="stack">
      <SegmentedControl.Root value={state} onValueChange={choose} aria-label="State of the conflicts" style={{ alignSelf: 'start' }}>
        {STATES.map((one) => (
          <SegmentedControl.Item key={one} value={one}>
            {words(one)}
          </SegmentedControl.Item>
        ))}
      </SegmentedControl.Root>
      <Loaded result={list}>
        {({ pages }) => {
          const rows = pages.flatMap(({ items }) => items);
          const opened = rows.find(({ id }) => id === at);
          // Others may have resolved what was chosen here.
          const chosen = Object.fromEntries(rows.filter(({ id }) => selection.ids.has(id)).map(({ id, version }) => [id, version]));
          return (
            <>
              {mayResolve && Object.keys(chosen).length > 0 && <ResolveMany versions={chosen} onDone={() => setSelection(NONE)} />}
              {opened !== undefined && <ConflictPanel key={opened.id} conflict={opened} onClose={() => show()} />}
              <DataTable
                label={`${words(state)} conflicts`}
                columns={state === 'open' ? [...BASE, SINCE] : [...BASE, ...ENDED]}
                rows={rows}
                keyOf={({ id }) => id}
                onOpen={({ id }) => show(id)}
                {...(mayResolve && { selection, onSelect: setSelection })}
                hasMore={list.hasNextPage}
                isLoadingMore={list.isFetchingNextPage}
                onMore={() => void list.fetchNextPage()}
                empty={<NoConflict isOpen={state === 'open'} />}
              />
            </>
          );
        }}
      </Loaded>
    </div>
  );
}

function NoConflict({ isOpen }: { isOpen: boolean }) {
  return isOpen ? (
    <EmptyState
      title="No conflict is open"
      hint="A conflict opens when both sides change a field between two syncs and its strategy is that a person decides."
    />
  ) : (
    <EmptyState title="None yet" hint="Conflicts that a strategy or a person resolved are listed here, with who and when." />
  );
}
