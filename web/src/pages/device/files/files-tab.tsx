import { Badge, SegmentedControl, Text } from '@radix-ui/themes';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { read } from '../../../api/query.ts';
import type { Device, DeviceFiles } from '../../../generated/api.ts';
import { Diff } from '../../../ui/code/diff.tsx';
import { EmptyState, Loaded } from '../../../ui/states.tsx';
import { FileView } from './file-view.tsx';

type Shown = 'desired' | 'running' | 'diff';

/** The files that Git wants, those that run, and their difference. */
export function FilesTab({ device }: { device: Device }) {
  const files = useQuery(read('GET /api/v1/devices/{id}/files', { path: { id: device.id } }));
  return (
    <Loaded result={files}>
      {(data) =>
        data.desired.files.length === 0 && data.running.files.length === 0 ? (
          <EmptyState title="No files yet" hint="The device gets files when it follows a source with a valid commit." />
        ) : (
          <Files id={device.id} files={data} />
        )
      }
    </Loaded>
  );
}

function Files({ id, files }: { id: string; files: DeviceFiles }) {
  const { at, view = 'unified' } = useSearch({ from: '/signed-in/devices/$id' });
  const navigate = useNavigate({ from: '/devices/$id' });
  const [shown, setShown] = useState<Shown>(files.diff.length > 0 ? 'diff' : 'desired');
  const paths = [...new Set([...files.desired.files, ...files.running.files].map(({ path }) => path))].toSorted();
  const path = paths.find((each) => each === at) ?? files.diff[0]?.path ?? paths[0] ?? '';
  const changes = new Map(files.diff.map((each) => [each.path, each]));
  const change = changes.get(path);
  const file = files[shown === 'running' ? 'running' : 'desired'].files.find((each) => each.path === path);
  return (
    <div className="split-view">
      <nav className="lines panel" aria-label="Files">
        {paths.map((each) => (
          <Link
            key={each}
            to="/devices/$id"
            params={{ id }}
            search={{ tab: 'files', at: each, view }}
            className="file-line mono"
            {...(each === path ? { 'aria-current': true } : {})}
          >
            <span className="clip">{each}</span> {changes.has(each) && <Badge color="amber">{changes.get(each)?.change}</Badge>}
          </Link>
        ))}
        {files.truncated && (
          <Text size="1" color="gray" className="panel-body">
            Some files are too large to show.
          </Text>
        )}
      </nav>
      <section className="panel">
        <div className="panel-head">
          <SegmentedControl.Root
            size="1"
            value={shown}
            onValueChange={(value) => setShown(value === 'running' || value === 'diff' ? value : 'desired')}
            aria-label="Shown files"
          >
            <SegmentedControl.Item value="desired">Desired</SegmentedControl.Item>
            <SegmentedControl.Item value="running">Running</SegmentedControl.Item>
            <SegmentedControl.Item value="diff">Difference</SegmentedControl.Item>
          </SegmentedControl.Root>
          {shown === 'diff' && (
            <SegmentedControl.Root
              size="1"
              value={view}
              onValueChange={(value) => void navigate({ search: (old) => ({ ...old, view: value === 'split' ? 'split' : 'unified' }) })}
              aria-label="Layout of the difference"
            >
              <SegmentedControl.Item value="unified">Unified</SegmentedControl.Item>
              <SegmentedControl.Item value="split">Side by side</SegmentedControl.Item>
            </SegmentedControl.Root>
          )}
        </div>
        {shown === 'diff' ? (
          change?.patch == null ? (
            <EmptyState
              title={
                change === undefined ? 'No difference: the device runs the desired file' : (change.note ?? 'The difference is not shown')
              }
            />
          ) : (
            <Diff patch={change.patch} path={path} view={view} />
          )
        ) : (
          <FileView id={id} file={file} withBlame={shown === 'desired'} />
        )}
      </section>
    </div>
  );
}
