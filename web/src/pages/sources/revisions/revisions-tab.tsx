import { Code, Text } from '@radix-ui/themes';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { read, readPages } from '../../../api/query.ts';
import type { Revision, RevisionDetail, Source } from '../../../generated/api.ts';
import { State, words } from '../../../ui/fleet/status.tsx';
import { EmptyState, ErrorState, Loaded, Loading } from '../../../ui/states.tsx';
import { type Column, DataTable } from '../../../ui/table/data-table.tsx';
import { duration, Time } from '../../../ui/time.tsx';
import { Facts } from '../../../ui/values/facts.tsx';
import { ErrorGroups } from './error-groups.tsx';
import { type Place, placeText } from './errors.ts';
import { Excerpt, Lines } from './excerpt.tsx';

/** The commits that the source prepared, newest first; the chosen one below, with its errors in the file at the line. */
export function RevisionsTab({ source }: { source: Source }) {
  const { revision } = useSearch({ from: '/signed-in/sources/$id' });
  const navigate = useNavigate({ from: '/sources/$id' });
  const list = useInfiniteQuery(readPages('GET /api/v1/sources/{id}/revisions', { path: { id: source.id } }));
  const rows = useMemo(() => list.data?.pages.flatMap(({ items }) => items) ?? [], [list.data]);
  if (list.error !== null && rows.length === 0) return <ErrorState error={list.error} retry={() => void list.refetch()} />;
  if (list.isPending) return <Loading />;
  const shown = revision ?? rows[0]?.id;
  return (
    <>
      <DataTable
        label="Revisions"
        columns={COLUMNS}
        rows={rows}
        keyOf={({ id }) => id}
        onOpen={({ id }) => void navigate({ search: { tab: 'revisions', revision: id } })}
        hasMore={list.hasNextPage}
        isLoadingMore={list.isFetchingNextPage}
        onMore={() => void list.fetchNextPage()}
        height="300px"
        empty={<EmptyState title="No revision yet" hint="Each commit of the followed ref becomes one. Push a commit, or press Sync now." />}
      />
      {shown !== undefined && <ShownRevision id={shown} />}
    </>
  );
}

const COLUMNS: readonly Column<Revision>[] = [
  { id: 'verdict', title: 'Verdict', width: '104px', cell: ({ verdict }) => <State state={verdict} /> },
  { id: 'commit', title: 'Commit', width: '88px', cell: ({ commit }) => <Code>{commit.slice(0, 8)}</Code> },
  { id: 'message', title: 'Message', width: 'minmax(160px, 3fr)', cell: ({ message }) => message.split('\n')[0] },
  { id: 'author', title: 'Author', width: 'minmax(100px, 1fr)', cell: ({ author }) => <span title={author.email}>{author.name}</span> },
  { id: 'at', title: 'Committed', width: '96px', cell: ({ committedAt }) => <Time at={committedAt} /> },
  { id: 'changed', title: 'Changed', width: '64px', numeric: true, cell: ({ pathsChanged }) => pathsChanged.toLocaleString('en') },
  { id: 'invalid', title: 'Invalid', width: '56px', numeric: true, cell: ({ pathsInvalid }) => pathsInvalid.toLocaleString('en') },
];

function ShownRevision({ id }: { id: string }) {
  const result = useQuery(read('GET /api/v1/revisions/{id}', { path: { id } }));
  return <Loaded result={result}>{(revision) => <RevisionPanel revision={revision} />}</Loaded>;
}

function RevisionPanel({ revision }: { revision: RevisionDetail }) {
  const { commit, message, author, committedAt, verdict, signature, devices, pathsInvalid, errors, timings } = revision;
  const isRefused = errors.length > 0 || pathsInvalid > 0;
  return (
    <section className="panel" aria-label={`Commit ${commit.slice(0, 8)}`}>
      <h2>
        Commit <Code>{commit.slice(0, 8)}</Code> <State state={verdict} />
      </h2>
      <div className="panel-body stack">
        <Text as="p" size="2" className="message">
          {message.trim()}
        </Text>
        <Facts
          facts={[
            [
              'Commit',
              <span key="commit" className="mono wrap-anywhere">
                {commit}
              </span>,
            ],
            ['Author', `${author.name} <${author.email}>`],
            ['Committed', <Time key="at" at={committedAt} exact />],
            ['Signature', words(signature)],
            ['Devices', `${devices.length.toLocaleString('en')} ${devices.length === 1 ? 'device was' : 'devices were'} changed by it`],
            ['Prepared in', timings.total !== undefined && duration(timings.total)],
          ]}
        />
        <ChosenPlace revision={revision} />
        {isRefused && <Errors revision={revision} />}
      </div>
    </section>
  );
}

/** The lines that another page leads to, such as those that devices failed on. Errors of the commit show theirs below. */
function ChosenPlace({ revision: { id, errors, paths } }: { revision: RevisionDetail }) {
  const { file, line } = useSearch({ from: '/signed-in/sources/$id' });
  const isShownBelow = [...errors, ...paths.flatMap((path) => path.errors)].some((error) => error.file === file);
  if (file === undefined || isShownBelow) return null;
  return (
    <section aria-label={file}>
      <Text as="p" size="2" weight="medium" className="mono">
        {placeText({ file, line })}
      </Text>
      <Lines revisionId={id} place={{ file, line }} note="changed by this commit" />
    </section>
  );
}

/** These many files open by themselves. */
const OPEN_FILES = 2;

/** The place of the address comes first: other pages lead to it. */
function Errors({ revision: { id, sourceId, errors, paths } }: { revision: RevisionDetail }) {
  const { file, line } = useSearch({ from: '/signed-in/sources/$id' });
  const isChosen = (place: Place) => place.file === file && (line === undefined || place.line === line);
  return (
    <ErrorGroups
      errors={errors}
      folders={paths}
      drawPlace={(place) => (
        <Link
          to="/sources/$id"
          params={{ id: sourceId }}
          search={{ tab: 'revisions', revision: id, ...placeSearch(place) }}
          className="link"
        >
          {placeText(place)}
        </Link>
      )}
      excerpt={(group, at) => {
        const chosen = group.places.find(isChosen);
        const place = chosen ?? group.places[0];
        return place && <Excerpt revisionId={id} group={group} place={place} isOpen={at < OPEN_FILES || chosen !== undefined} />;
      }}
    />
  );
}

function placeSearch({ file, line }: Place) {
  return { file, ...(line === undefined ? {} : { line }) };
}
