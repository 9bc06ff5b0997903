import { queryOptions } from '@tanstack/react-query';
import { ApiError, call } from '../api/client.ts';

/** Cursor of the newest event before the page read anything: what happens while it reads and connects is replayed. null: not known. */
export const lastEventQuery = queryOptions({
  queryKey: ['last event'] as const,
  queryFn: async ({ signal }): Promise<number | null> => {
    try {
      const { items } = await call('GET /api/v1/events', { query: { order: 'desc', limit: 1 } }, signal);
      return items[0]?.cursor ?? 0;
    } catch (error) {
      if (error instanceof ApiError) return null;
      throw error;
    }
  },
  staleTime: Number.POSITIVE_INFINITY,
  gcTime: Number.POSITIVE_INFINITY,
});
