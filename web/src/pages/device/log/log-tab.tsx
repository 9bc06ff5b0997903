import { Flex } from '@radix-ui/themes';
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { readPages } from '../../../api/query.ts';
import { Loaded } from '../../../ui/states.tsx';
import { FilterMenu } from '../../../ui/table/filter-menu.tsx';
import { SearchField } from '../../../ui/table/search-field.tsx';
import { LogLines } from './log-lines.tsx';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
/** The service sends no event for a line of a log: the newest lines are asked for while the tab is open. */
const REREAD_MS = 2_000;

/** The newest lines first. Level and text are filtered by the service. */
export function LogTab({ id }: { id: string }) {
  const { level, q } = useSearch({ from: '/signed-in/devices/$id' });
  const navigate = useNavigate({ from: '/devices/$id' });
  const query = { order: 'desc', ...(level === undefined ? {} : { level }), ...(q === undefined ? {} : { q }) } as const;
  const list = useInfiniteQuery({
    ...readPages('GET /api/v1/devices/{id}/logs', { path: { id }, query }, 200),
    placeholderData: keepPreviousData,
    refetchInterval: REREAD_MS,
  });
  return (
    <div className="stack">
      <Flex gap="2" wrap="wrap">
        <SearchField
          value={q ?? ''}
          onChange={(text) => void navigate({ search: (old) => ({ ...old, q: text === '' ? undefined : text }), replace: true })}
          label="Search the log"
        />
        <FilterMenu
          label="At least"
          value={level}
          options={LEVELS.map((value) => ({ value, label: value }))}
          onChange={(value) =>
            void navigate({ search: (old) => ({ ...old, level: LEVELS.find((each) => each === value) }), replace: true })
          }
        />
      </Flex>
      <Loaded result={list}>
        {({ pages }) => (
          <>
            <LogLines
              lines={pages.flatMap(({ items }) => items)}
              empty="No line matches. Take the filter away, or wait until the device reports."
            />
            {list.hasNextPage && (
              <button type="button" className="link-button" onClick={() => void list.fetchNextPage()}>
                Older lines
              </button>
            )}
          </>
        )}
      </Loaded>
    </div>
  );
}
