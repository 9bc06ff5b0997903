import { Badge, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { read } from '../../api/query.ts';
import { Diff, DiffViewSwitch } from '../../ui/code/diff.tsx';
import { EmptyState, Loaded } from '../../ui/states.tsx';

/** The change that the rollout brings: devices with the same change stand together. */
export function RolloutDiff({ id }: { id: string }) {
  const [view, setView] = useState<'unified' | 'split'>('unified');
  const diff = useQuery(read('GET /api/v1/rollouts/{id}/diff', { path: { id } }));
  return (
    <Loaded result={diff}>
      {({ diffs, moreDiffs, moreDevices }) => (
        <div className="stack">
          <DiffViewSwitch view={view} onView={setView} />
          {diffs.length === 0 && <EmptyState title="No change" hint="The devices of this rollout already had these files." />}
          {diffs.map(({ devices, firstDevice, files, truncated }) => (
            <section key={firstDevice} className="panel">
              <h2>
                {devices.toLocaleString('en')} {devices === 1 ? 'device' : 'devices'}, for example {firstDevice}{' '}
                {truncated && <Badge color="amber">shortened</Badge>}
              </h2>
              {files.map((file) => (
                <div key={file.path} className="panel-body">
                  <Text as="div" size="2" weight="medium" className="mono">
                    {file.path}{' '}
                    <Badge color={file.change === 'added' ? 'green' : file.change === 'removed' ? 'red' : 'gray'}>{file.change}</Badge>
                  </Text>
                  {file.patch === null ? <Text size="2">{file.note}</Text> : <Diff patch={file.patch} path={file.path} view={view} />}
                </div>
              ))}
            </section>
          ))}
          {moreDiffs > 0 && (
            <Text size="2" color="gray">
              {moreDiffs} more changes of {moreDevices.toLocaleString('en')} devices are not shown.
            </Text>
          )}
        </div>
      )}
    </Loaded>
  );
}
