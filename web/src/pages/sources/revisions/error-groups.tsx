import { Text } from '@radix-ui/themes';
import { OctagonX } from 'lucide-react';
import type { ReactNode } from 'react';
import type { ConfigError } from '../../../generated/api.ts';
import { type ErrorGroup, groupErrors } from './errors.ts';

type Props = {
  errors: readonly ConfigError[];
  folders?: readonly { path: string; errors: readonly ConfigError[] }[];
  /** Errors that the API did not list. */
  more?: number;
  /** The file at the line. */
  excerpt?: (group: ErrorGroup) => ReactNode;
};

const MOST_PLACES = 5;

/** Errors of a commit, each once, with where it stands and how many device folders it blocks. */
export function ErrorGroups({ errors, folders, more = 0, excerpt }: Props) {
  const groups = groupErrors(errors, folders);
  return (
    <ul className="config-errors" aria-label="Errors of the commit">
      {groups.map((group) => (
        <li key={group.key} className="panel">
          <div className="panel-head">
            <span className="status" data-tone="bad">
              <OctagonX size={14} aria-hidden />
            </span>
            <span className="wrap-anywhere">{group.error.message}</span>
          </div>
          <div className="panel-body">
            <Where group={group} />
          </div>
          {excerpt?.(group)}
        </li>
      ))}
      {more > 0 && (
        <Text size="2" color="gray" as="p">
          {more.toLocaleString('en')} more errors are not listed.
        </Text>
      )}
    </ul>
  );
}

function Where({ group: { error, places, folders } }: { group: ErrorGroup }) {
  const shown = places.slice(0, MOST_PLACES).map(({ file, line }) => (line === undefined ? file : `${file}:${line}`));
  const rest = places.length - shown.length;
  return (
    <Text as="div" size="2" color="gray">
      <span className="mono wrap-anywhere">{shown.join(', ')}</span>
      {rest > 0 && ` and ${rest.toLocaleString('en')} more`}
      {error.pointer !== '' && (
        <>
          {' '}
          at <span className="mono">{error.pointer}</span>
        </>
      )}
      {folders.length > 1 && ` · blocks ${folders.length.toLocaleString('en')} device folders`}
      {folders.length === 1 && folders[0] !== '' && ` · blocks the folder ${folders[0]}`}
    </Text>
  );
}
