import { flag, listOf, oneOf, searchOf, text } from '../../app/search.ts';

export const SYNC_STATUSES = [
  'failed',
  'rolled_back',
  'drifted',
  'held',
  'updating',
  'pending',
  'in_sync',
  'unverified',
  'unmanaged',
] as const;

export const DevicesSearch = searchOf({
  q: text,
  status: listOf(SYNC_STATUSES),
  connectivity: listOf(['online', 'offline', 'unknown']),
  site: text,
  source: text,
  type: text,
  label: text,
  kind: oneOf(['LOCAL', 'EXTERNAL']),
  integration: text,
  simulated: flag,
  held: flag,
  archived: flag,
  sort: oneOf(['id', 'name', 'status', 'lastSeen', 'updated', 'site', 'type']),
  order: oneOf(['asc', 'desc']),
});
export type DevicesSearch = ReturnType<typeof DevicesSearch>;
