import { Link } from '@tanstack/react-router';
import type { CommitPlace } from '../../generated/api.ts';

/** The file and line of the commit; it opens where the source is known. */
export function PlaceLink({ place, sourceId }: { place: CommitPlace | null; sourceId: string | undefined }) {
  if (place === null) return null;
  const text = `${place.file}${place.line === null ? '' : `:${place.line}`} in ${place.commit.slice(0, 8)}`;
  if (sourceId === undefined) return <span className="mono">{text}</span>;
  return (
    <Link
      className="link mono"
      to="/sources/$id"
      params={{ id: sourceId }}
      search={{ tab: 'revisions', revision: place.revisionId, file: place.file, ...(place.line === null ? {} : { line: place.line }) }}
    >
      {text}
    </Link>
  );
}
