import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { read, useAct } from '../../api/query.ts';
import type { IntegrationSyncStatus } from '../../generated/api.ts';

/** A run writes its counts page by page and emits no event for it, so that a run in progress is asked for this often. */
const PROGRESS_MS = 700;

/** How far the sync is, and the request for one. */
export function useSyncStatus(slug: string) {
  /** Id of the last run when a sync was asked for; null: there was none. */
  const [askedAfter, setAskedAfter] = useState<string | null>();
  const isAwaited = (status: IntegrationSyncStatus) => askedAfter !== undefined && (status.lastRun?.id ?? null) === askedAfter;
  const query = useQuery({
    ...read('GET /api/v1/integrations/{id}/sync-status', { path: { id: slug } }),
    refetchInterval: ({ state: { data } }) =>
      data !== undefined && (data.running !== null || data.state === 'new' || isAwaited(data)) ? PROGRESS_MS : false,
  });
  const act = useAct('POST /api/v1/integrations/{id}/sync');
  const request = () => {
    setAskedAfter(query.data?.lastRun?.id ?? null);
    act.mutate({ path: { id: slug } }, { onError: () => setAskedAfter(undefined) });
  };
  const isRunning = query.data !== undefined && (query.data.running !== null || isAwaited(query.data));
  return { query, request, isRunning, error: act.error };
}

export type SyncState = ReturnType<typeof useSyncStatus>;
