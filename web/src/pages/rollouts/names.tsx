import { Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { read } from '../../api/query.ts';

/** Rows share these reads; a revision never changes. */
export function useRevision(id: string) {
  return useQuery({ ...read('GET /api/v1/revisions/{id}', { path: { id } }), staleTime: Number.POSITIVE_INFINITY }).data;
}

export function SourceName({ id }: { id: string }) {
  const { data } = useQuery(read('GET /api/v1/sources/{id}', { path: { id } }));
  return (
    <Link to="/sources/$id" params={{ id }} className="row-link">
      {data?.name ?? `${id.slice(0, 8)}…`}
    </Link>
  );
}

export function RevisionTitle({ id }: { id: string }) {
  const revision = useRevision(id);
  if (revision === undefined) return <Text color="gray">…</Text>;
  return (
    <>
      <span className="mono">{revision.commit.slice(0, 8)}</span> {revision.message.split('\n')[0]}{' '}
      <Text color="gray">{revision.author.name}</Text>
    </>
  );
}
