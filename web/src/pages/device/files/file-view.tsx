import { Text, Tooltip } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { read } from '../../../api/query.ts';
import type { DeviceFiles, FileBlame, Provenance } from '../../../generated/api.ts';
import { Code } from '../../../ui/code/code.tsx';
import { EmptyState } from '../../../ui/states.tsx';
import { relative } from '../../../ui/time.tsx';

type File = DeviceFiles['desired']['files'][number];

/** A file with, beside each line, the commit and author that last changed it, and above it the layers that it came from. */
export function FileView({ id, file, withBlame }: { id: string; file: File | undefined; withBlame: boolean }) {
  const path = file?.path ?? '';
  const blame = useQuery({
    ...read('GET /api/v1/devices/{id}/files/blame', { path: { id }, query: { path } }),
    enabled: withBlame && file?.text != null,
  }).data;
  const provenance =
    useQuery({ ...read('GET /api/v1/devices/{id}/preview', { path: { id }, query: { provenance: '1' } }), enabled: withBlame }).data
      ?.provenance ?? null;
  if (file === undefined) return <EmptyState title="The file is not there" hint="It stands on the other side only." />;
  if (file.text === null)
    return (
      <EmptyState
        title={file.content === 'binary' ? 'A binary file' : 'The file is too large to show'}
        hint={`${file.size.toLocaleString('en')} bytes`}
      />
    );
  return (
    <>
      {withBlame && <Origin provenance={provenance} path={path} />}
      <Code text={file.text} path={path} beside={(line) => <BlameNote blame={blame} line={line} />} />
      {blame?.olderThan != null && (
        <Text size="1" color="gray" as="p" className="panel-body">
          Lines without a commit are older than {blame.olderThan.slice(0, 10)}.
        </Text>
      )}
    </>
  );
}

/** Only the first line of a run of lines of one commit says it. */
function BlameNote({ blame, line }: { blame: FileBlame | undefined; line: number }) {
  const index = blame?.lines[line - 1]?.commit ?? null;
  const before = blame?.lines[line - 2]?.commit;
  if (blame === undefined || index === null || (line > 1 && before === index)) return null;
  const commit = blame.commits[index];
  if (commit === undefined) return null;
  return (
    <Tooltip content={commit.message.split('\n')[0]}>
      <span className="blame">
        {commit.commit.slice(0, 8)} {commit.author.name}, {relative(new Date(commit.committedAt), Date.now())}
      </span>
    </Tooltip>
  );
}

const MAX_VALUES = 40;

/** The layers and files in Git that made this file; each value of a layered file with its place. */
function Origin({ provenance, path }: { provenance: Provenance; path: string }) {
  const file = useMemo(() => provenance?.files.find((each) => each.path === path), [provenance, path]);
  if (file === undefined) return null;
  return (
    <div className="panel-body origin">
      <Text size="1" color="gray">
        From{' '}
        {file.from
          .map(({ layer, file: source, template }) => `${source}${layer === '' ? '' : ` (${layer}${template ? ', template' : ''})`}`)
          .join(', then ')}
      </Text>
      {file.values.length > 0 && (
        <details>
          <summary>
            <Text size="1">Where each value comes from</Text>
          </summary>
          <ul className="values">
            {file.values.slice(0, MAX_VALUES).map(({ pointer, layer, file: source, line }) => (
              <li key={pointer} className="mono">
                {pointer} · {source}
                {line === undefined ? '' : `:${line}`} ({layer})
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}
