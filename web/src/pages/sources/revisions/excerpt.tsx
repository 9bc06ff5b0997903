import { Button, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { read } from '../../../api/query.ts';
import { Code } from '../../../ui/code/code.tsx';
import { ErrorState, Loading } from '../../../ui/states.tsx';
import type { ErrorGroup, Place } from './errors.ts';

const NOTES: Record<string, string> = {
  masked: 'The file cannot be parsed, so that its values are hidden.',
  binary: 'The file is no text.',
  too_large: 'The file is too large to be shown.',
};

type Props = { revisionId: string; group: ErrorGroup; place: Place; isOpen: boolean };

/** The lines around an error, with the error below its line. Reading a commit takes the service a moment: only the first files open by themselves. */
export function Excerpt({ revisionId, group, place, isOpen }: Props) {
  const [isAsked, setAsked] = useState(isOpen);
  if (!isAsked && !isOpen)
    return (
      <div className="panel-body">
        <Button size="1" variant="soft" onClick={() => setAsked(true)}>
          Show the file
        </Button>
      </div>
    );
  return <Lines revisionId={revisionId} place={place} note={group.message} />;
}

/** @param note below the line of the place */
export function Lines({ revisionId, place: { file, line = 1 }, note: said }: { revisionId: string; place: Place; note: string }) {
  const result = useQuery({
    ...read('GET /api/v1/revisions/{id}/file', { path: { id: revisionId }, query: { path: file, line } }),
    // A commit never changes.
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  if (result.error !== null) return <ErrorState error={result.error} retry={() => void result.refetch()} />;
  if (result.data === undefined)
    return (
      <div className="panel-body">
        <Loading lines={3} />
      </div>
    );
  const { content, first, lines } = result.data;
  const note = NOTES[content];
  return (
    <>
      {note !== undefined && (
        <Text as="p" size="2" color="gray" className="panel-body" style={{ margin: 0 }}>
          {note}
        </Text>
      )}
      {lines.length > 0 && <Code text={lines.join('\n')} path={file} first={first} marks={[{ line, note: said }]} />}
    </>
  );
}
