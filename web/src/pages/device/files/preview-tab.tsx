import { Badge, Text } from '@radix-ui/themes';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { read } from '../../../api/query.ts';
import { Diff } from '../../../ui/code/diff.tsx';
import { State } from '../../../ui/fleet/status.tsx';
import { EmptyState, Loaded } from '../../../ui/states.tsx';
import { SearchField } from '../../../ui/table/search-field.tsx';

/** The files that the device would get from any branch, tag or commit, compared with those that it runs. */
export function PreviewTab({ id }: { id: string }) {
  const { ref } = useSearch({ from: '/signed-in/devices/$id' });
  const navigate = useNavigate({ from: '/devices/$id' });
  const preview = useQuery({
    ...read('GET /api/v1/devices/{id}/preview', { path: { id }, query: ref === undefined ? {} : { ref } }),
    placeholderData: keepPreviousData,
    retry: false,
  });
  return (
    <div className="stack">
      <SearchField
        value={ref ?? ''}
        onChange={(text) => void navigate({ search: (old) => ({ ...old, ref: text === '' ? undefined : text }), replace: true })}
        label="Branch, tag or commit"
      />
      <Loaded result={preview}>
        {({ ref: of, commit, verdict, errors, diff }) => (
          <div className="stack">
            <Text size="2">
              {of} at <span className="mono">{commit.slice(0, 10)}</span> <State state={verdict} />
            </Text>
            {errors.map(({ file, line, pointer, message }) => (
              <Text key={`${file} ${pointer} ${message}`} size="2" color="red" as="p">
                <span className="mono">
                  {file}
                  {line === undefined ? '' : `:${line}`}
                </span>{' '}
                {message}
              </Text>
            ))}
            {verdict === 'valid' && diff.length === 0 && <EmptyState title="No change" hint="The device already runs these files." />}
            {diff.map((file) => (
              <section key={file.path} className="panel">
                <h2>
                  <span className="mono">{file.path}</span> <Badge color="gray">{file.change}</Badge>
                </h2>
                {file.patch === null ? <Text size="2">{file.note}</Text> : <Diff patch={file.patch} path={file.path} />}
              </section>
            ))}
          </div>
        )}
      </Loaded>
    </div>
  );
}
