import {
  QueryClient as Client,
  infiniteQueryOptions,
  type QueryClient,
  queryOptions,
  useMutation,
  useQueryClient,
} from '@tanstack/react-query';
import { type Answer, ApiError, call, type Input, type Operation } from './client.ts';

/** Every read has the key [operation, input], so that a live event can name what it makes out of date. */
export function read<O extends Operation>(operation: O, input: Input<O>) {
  return queryOptions({
    queryKey: [operation, input] as const,
    queryFn: ({ signal }) => call(operation, input, signal),
  });
}

type Page<Item> = { items: Item[]; nextCursor: string | null };
type ListOperation = { [O in Operation]: Answer<O> extends Page<unknown> ? O : never }[Operation];
export type ItemOf<O extends ListOperation> = Answer<O> extends Page<infer Item> ? Item : never;

/** A list page by page: the next one is asked for when its rows come into view. */
export function readPages<O extends ListOperation>(operation: O, input: Input<O>, limit = 50) {
  return infiniteQueryOptions({
    queryKey: [operation, input, 'pages'] as const,
    queryFn: async ({ pageParam, signal }) => {
      const { query, ...rest } = input as { query?: Record<string, unknown> };
      const paged = { ...rest, query: { ...query, limit, ...(pageParam === '' ? {} : { cursor: pageParam }) } };
      return (await call(operation, paged as Input<O>, signal)) as Page<ItemOf<O>>;
    },
    initialPageParam: '',
    getNextPageParam: (last) => last.nextCursor ?? undefined,
  });
}

/** An act of the user. Its operation's resource is read again after it; errors are shown by the caller. */
export function useAct<O extends Operation>(
  operation: O,
  options: { outdates?: readonly string[]; onSuccess?: (answer: Answer<O>) => void } = {},
) {
  const client = useQueryClient();
  return useMutation<Answer<O>, Error, Input<O>>({
    mutationFn: (input) => call(operation, input),
    onSuccess: async (answer) => {
      options.onSuccess?.(answer);
      await outdate(client, options.outdates ?? [resourceOf(operation)]);
    },
  });
}

/** Reads again what is shown of these resources: "devices" is every operation below /api/v1/devices. */
export async function outdate(client: QueryClient, resources: readonly string[]): Promise<void> {
  await client.invalidateQueries({
    predicate: ({ queryKey }) => typeof queryKey[0] === 'string' && resources.includes(resourceOf(queryKey[0])),
  });
}

/** "GET /api/v1/devices/{id}/why" → "devices". */
export function resourceOf(operation: string): string {
  return operation.split('/')[3]?.split(':')[0] ?? '';
}

export function createQueryClient(): QueryClient {
  return new Client({
    defaultOptions: {
      queries: {
        // Live events say what is out of date.
        staleTime: 30_000,
        refetchOnWindowFocus: false,
        retry: (failures, error) => failures < 3 && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
        retryDelay: (failures) => Math.min(500 * 2 ** failures, 5_000) * (0.5 + Math.random() / 2),
      },
    },
  });
}
