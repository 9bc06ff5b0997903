import { Flex } from '@radix-ui/themes';
import type { DeviceCounts } from '../../generated/api.ts';
import { syncWord } from '../../ui/fleet/status.tsx';
import { FilterMenu } from '../../ui/table/filter-menu.tsx';
import { SearchField } from '../../ui/table/search-field.tsx';
import { SavedFilters } from './saved-filters.tsx';
import { type DevicesSearch, SYNC_STATUSES } from './search.ts';

type Props = { search: DevicesSearch; counts: DeviceCounts | undefined; onChange: (next: Partial<DevicesSearch>) => void };

const CONNECTIONS = [
  ['online', 'Online'],
  ['offline', 'Offline'],
  ['unknown', 'Not seen yet'],
] as const;

/** The filter of the table; each choice says how many devices it leaves. */
export function Filters({ search, counts, onChange }: Props) {
  const facet = (of: DeviceCounts['bySite'] | undefined) =>
    (of?.items ?? []).flatMap(({ value, name, count }) => (value === null ? [] : [{ value, label: name ?? value, count }]));
  return (
    <Flex gap="2" wrap="wrap" mb="3" align="center">
      <SearchField value={search.q ?? ''} onChange={(q) => onChange({ q: q === '' ? undefined : q })} label="Search id, name or label" />
      <FilterMenu
        label="State"
        value={search.status?.length === 1 ? search.status[0] : search.status?.map(syncWord).join(' or ')}
        options={SYNC_STATUSES.map((value) => ({ value, label: syncWord(value), count: counts?.byStatus[value] ?? 0 }))}
        onChange={(value) =>
          onChange({
            status:
              SYNC_STATUSES.filter((status) => status === value).length === 0
                ? undefined
                : SYNC_STATUSES.filter((status) => status === value),
          })
        }
      />
      <FilterMenu
        label="Connection"
        value={search.connectivity?.[0]}
        options={CONNECTIONS.map(([value, label]) => ({ value, label, count: counts?.byConnectivity[value] ?? 0 }))}
        onChange={(value) =>
          onChange({ connectivity: CONNECTIONS.flatMap(([each]) => (each === value ? [each] : [])).slice(0, value === undefined ? 0 : 1) })
        }
      />
      <FilterMenu label="Site" value={search.site} options={facet(counts?.bySite)} onChange={(site) => onChange({ site })} />
      <FilterMenu label="Source" value={search.source} options={facet(counts?.bySource)} onChange={(source) => onChange({ source })} />
      <FilterMenu label="Type" value={search.type} options={facet(counts?.byType)} onChange={(type) => onChange({ type })} />
      <FilterMenu
        label="Kind"
        value={search.kind}
        options={[
          { value: 'LOCAL', label: 'Local', count: counts?.bySourceKind.LOCAL ?? 0 },
          { value: 'EXTERNAL', label: 'On a platform', count: counts?.bySourceKind.EXTERNAL ?? 0 },
        ]}
        onChange={(kind) => onChange({ kind: kind === 'LOCAL' || kind === 'EXTERNAL' ? kind : undefined })}
      />
      <SavedFilters search={search} onChange={onChange} />
    </Flex>
  );
}
