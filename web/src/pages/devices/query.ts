import type { Input } from '../../api/client.ts';
import type { DevicesSearch } from './search.ts';

export type DeviceFilter = NonNullable<Input<'GET /api/v1/devices/counts'>['query']>;

/** The filter of the API that a page's search stands for. */
export function filterOf(search: DevicesSearch): DeviceFilter {
  const { q, status, connectivity, site, source, type, label, kind, integration, simulated, held, archived } = search;
  return {
    ...(q === undefined ? {} : { q }),
    ...(status === undefined ? {} : { status }),
    ...(connectivity === undefined ? {} : { connectivity }),
    ...(site === undefined ? {} : { site: [site] }),
    ...(source === undefined ? {} : { source: [source] }),
    ...(type === undefined ? {} : { type: [type] }),
    ...(label === undefined ? {} : { label: label.split(/[,\s]+/).filter((part) => part.includes('=')) }),
    ...(kind === undefined ? {} : { sourceKind: [kind] }),
    ...(integration === undefined ? {} : { integration }),
    ...(simulated === undefined ? {} : { simulated: said(simulated) }),
    ...(held === undefined ? {} : { held: said(held) }),
    ...(archived === undefined ? {} : { archived: said(archived) }),
  };
}

function said(flag: boolean): 'true' | 'false' {
  return flag ? 'true' : 'false';
}

/** The order is no filter. */
export function isFiltered({ sort: _sort, order: _order, ...filter }: DevicesSearch): boolean {
  return Object.keys(filter).length > 0;
}
