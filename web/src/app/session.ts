import { type QueryClient, queryOptions, useQuery } from '@tanstack/react-query';
import { type Answer, ApiError, call, rememberCsrfToken } from '../api/client.ts';

export type Me = Answer<'GET /api/v1/me'>;
export type Role = Me['role'];

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** The signed-in person; null: nobody. */
export const meQuery = queryOptions({
  queryKey: ['GET /api/v1/me', {}] as const,
  queryFn: async ({ signal }): Promise<Me | null> => {
    try {
      const me = await call('GET /api/v1/me', {}, signal);
      rememberCsrfToken(me.csrfToken ?? undefined);
      return me;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

/** Whether the signed-in person may act as `needed`. The API decides; the page only hides what would be refused. */
export function useMay(needed: Role): boolean {
  const { data } = useQuery(meQuery);
  return data !== undefined && data !== null && RANK[data.role] >= RANK[needed];
}

export async function signOut(client: QueryClient): Promise<void> {
  await call('DELETE /api/v1/session', {}).catch(() => undefined);
  rememberCsrfToken(undefined);
  client.clear();
}
