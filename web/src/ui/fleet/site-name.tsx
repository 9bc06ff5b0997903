import { useQuery } from '@tanstack/react-query';
import { read } from '../../api/query.ts';

/** All sites in one read that every row shares. */
export function useSites() {
  return useQuery({ ...read('GET /api/v1/sites', { query: { limit: 500 } }), staleTime: 60_000 }).data?.items ?? [];
}

export function SiteName({ id }: { id: string | null }) {
  const sites = useSites();
  if (id === null) return null;
  return sites.find((site) => site.id === id)?.name ?? `${id.slice(0, 8)}…`;
}
