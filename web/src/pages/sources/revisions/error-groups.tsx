import { Text } from '@radix-ui/themes';
import { OctagonX } from 'lucide-react';
import { Fragment, type ReactNode } from 'react';
import type { ConfigError } from '../../../generated/api.ts';
import { type ErrorGroup, groupErrors, type Place, placeText } from './errors.ts';

type Props = {
  errors: readonly ConfigError[];
  folders?: readonly { path: string; errors: readonly ConfigError[] }[];
  /** Errors that the API did not list. */
  more?: number;
  /** A place as a link. */
  drawPlace?: (place: Place) => ReactNode;
  /** The file at the line; `at` is the number of the group. */
  excerpt?: (group: ErrorGroup, at: number) => ReactNode;
};

const MOST_PLACES = 5;

/** Errors of a commit, each once, with where it stands and how many device folders it blocks. */
export function ErrorGroups({ errors, folders, more = 0, drawPlace = placeText, excerpt }: Props) {
  const groups = groupErrors(errors, folders);
  return (
    <>
      <ul className="config-errors" aria-label="Errors of the commit">
        {groups.map((group, at) => (
          <li key={group.key} className="panel">
            <div className="panel-head">
              <span className="status" data-tone="bad">
                <OctagonX size={14} aria-hidden />
              </span>
              <span className="wrap-anywhere">{group.message}</span>
            </div>
            <div className="panel-body">
              <Where group={group} drawPlace={drawPlace} />
            </div>
            {excerpt?.(group, at)}
          </li>
        ))}
      </ul>
      {more > 0 && (
        <Text size="2" color="gray" as="p">
          {more.toLocaleString('en')} more errors are not listed.
        </Text>
      )}
    </>
  );
}

function Where({ group: { error, message, places, folders }, drawPlace }: { group: ErrorGroup; drawPlace: (place: Place) => ReactNode }) {
  const shown = places.slice(0, MOST_PLACES);
  const rest = places.length - shown.length;
  return (
    <Text as="div" size="2" color="gray">
      <span className="mono wrap-anywhere">
        {shown.map((place, at) => (
          <Fragment key={placeText(place)}>
            {at > 0 && ', '}
            {drawPlace(place)}
          </Fragment>
        ))}
      </span>
      {rest > 0 && ` and ${rest.toLocaleString('en')} more`}
      {error.pointer !== '' && !message.includes(error.pointer) && (
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
