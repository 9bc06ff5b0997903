import { Button, Flex, Text, TextField } from '@radix-ui/themes';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { ExternalLink } from 'lucide-react';
import { type FormEvent, useMemo, useState } from 'react';
import { readPages } from '../../../api/query.ts';
import type { MergeRequest, Source } from '../../../generated/api.ts';
import { State } from '../../../ui/fleet/status.tsx';
import { EmptyState, ErrorState, Loaded, Loading } from '../../../ui/states.tsx';
import { type Column, DataTable } from '../../../ui/table/data-table.tsx';
import { Time } from '../../../ui/time.tsx';
import { PlanView, planQuery } from './plan.tsx';

/** Merge requests with their plans, and the plan of any branch, tag or commit. */
export function PlansTab({ source }: { source: Source }) {
  const { ref } = useSearch({ from: '/signed-in/sources/$id' });
  const navigate = useNavigate({ from: '/sources/$id' });
  const list = useInfiniteQuery(readPages('GET /api/v1/sources/{id}/merge-requests', { path: { id: source.id } }));
  const rows = useMemo(() => list.data?.pages.flatMap(({ items }) => items) ?? [], [list.data]);
  const show = (next: string | undefined) =>
    void navigate({ search: { tab: 'merge-requests', ...(next === undefined ? {} : { ref: next }) } });
  return (
    <>
      {list.error !== null && rows.length === 0 ? (
        <ErrorState error={list.error} retry={() => void list.refetch()} />
      ) : list.isPending ? (
        <Loading />
      ) : (
        <DataTable
          label="Merge requests"
          columns={COLUMNS}
          rows={rows}
          keyOf={({ id }) => id}
          onOpen={({ commit }) => commit !== null && show(commit)}
          hasMore={list.hasNextPage}
          isLoadingMore={list.isFetchingNextPage}
          onMore={() => void list.fetchNextPage()}
          height="360px"
          empty={
            <EmptyState
              title="No merge requests yet"
              hint="With a webhook that sends merge requests, each one that goes into the followed branch is planned here, and at the host."
            />
          }
        />
      )}
      <PlanOf key={ref} source={source} shown={ref} show={show} />
    </>
  );
}

const COLUMNS: readonly Column<MergeRequest>[] = [
  { id: 'number', title: 'Number', width: '64px', numeric: true, cell: ({ number }) => `!${number}` },
  { id: 'state', title: 'State', width: '80px', cell: ({ state }) => <State state={state} /> },
  { id: 'title', title: 'Title', width: 'minmax(160px, 2fr)', cell: ({ title }) => title },
  { id: 'verdict', title: 'Plan', width: '120px', cell: ({ verdict }) => verdict !== null && <State state={verdict} /> },
  {
    id: 'headline',
    title: 'What it does',
    width: 'minmax(160px, 2fr)',
    cell: ({ headline }) => <span title={headline ?? ''}>{headline}</span>,
  },
  { id: 'planned', title: 'Planned', width: '96px', cell: ({ plannedAt }) => <Time at={plannedAt} /> },
  {
    id: 'posting',
    title: 'At the host',
    width: '110px',
    cell: ({ posting, lastError }) => (
      <span title={lastError?.detail}>
        <State state={posting === 'none' ? 'not_posted' : posting} />
      </span>
    ),
  },
  {
    id: 'link',
    title: '',
    width: '24px',
    cell: ({ url, number }) =>
      url !== null &&
      /^https?:/.test(url) && (
        <a href={url} target="_blank" rel="noreferrer" aria-label={`Merge request ${number} at the host`}>
          <ExternalLink size={14} />
        </a>
      ),
  },
];

function PlanOf({ source, shown, show }: { source: Source; shown: string | undefined; show: (ref: string | undefined) => void }) {
  const [text, setText] = useState(shown ?? '');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    show(text.trim() === '' ? undefined : text.trim());
  };
  return (
    <section className="panel" aria-label="Plan">
      <h2>Plan of a branch, tag or commit</h2>
      <div className="panel-body stack">
        <form onSubmit={submit}>
          <Flex gap="2" wrap="wrap">
            <TextField.Root
              value={text}
              onChange={(event) => setText(event.target.value)}
              aria-label="Branch, tag or commit"
              placeholder="feature/new-vlan"
              style={{ flex: '1 1 200px', maxWidth: 420 }}
            />
            <Button type="submit" variant="soft">
              Show plan
            </Button>
          </Flex>
        </form>
        {shown === undefined ? (
          <Text size="2" color="gray">
            The plan says which devices would change, in which waves, and how. It changes nothing.
          </Text>
        ) : (
          <ShownPlan sourceId={source.id} gitRef={shown} />
        )}
      </div>
    </section>
  );
}

function ShownPlan({ sourceId, gitRef }: { sourceId: string; gitRef: string }) {
  const plan = useQuery(planQuery(sourceId, gitRef));
  return (
    <Loaded result={plan}>
      {(found) => (
        <>
          <Flex gap="3" align="center" wrap="wrap">
            <Text size="2" color="gray">
              Plan of <span className="mono">{found.commit.slice(0, 10)}</span> on{' '}
              <span className="mono">{found.base?.slice(0, 10) ?? 'nothing'}</span>
            </Text>
            <Button size="1" variant="ghost" loading={plan.isFetching} onClick={() => void plan.refetch()}>
              Plan again
            </Button>
          </Flex>
          <PlanView plan={found} />
        </>
      )}
    </Loaded>
  );
}
