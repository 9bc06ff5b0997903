import { createRoute, type z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { compress } from 'hono/compress';
import { json, page, problems, toPage } from '../http/kit.ts';
import type { Role } from '../organization/organization.ts';
import { type Env, role } from './env.ts';

/** Comes before every id of a list. */
export const FIRST_ID = '00000000-0000-0000-0000-000000000000';

/** A page of a list is long and repeats its names: it costs a tenth of its bytes where the client takes gzip. Other answers are short, and keep their ETag. */
const packed: MiddlewareHandler<Env> = compress({ encoding: 'gzip', contentTypeFilter: /^application\/json\b/ });

type ListQuery = { limit: number; cursor?: string | undefined };

/** The route of a list: `GET`, with the limit and the cursor of a page in its query. */
export function listRoute<
  const Path extends string,
  Request extends { params?: z.ZodObject; query: z.ZodObject<z.ZodRawShape, z.core.$ZodObjectConfig> },
  Item extends z.ZodType,
>(route: { path: Path; tags: string[]; role: Role; request: Request; item: Item; description: string }) {
  const { path, tags, request, item, description } = route;
  return createRoute({
    method: 'get',
    path,
    tags,
    middleware: [role(route.role), packed] as const,
    request,
    responses: { 200: json(page(item), description), ...problems },
  });
}

/** Reads one page. It asks for one row more than it shows: that row tells whether there is another page. */
export async function readPage<Key, Row, Item>(
  { limit, cursor }: ListQuery,
  list: {
    after(cursor: string | undefined): Key;
    rows(after: Key, limit: number): Promise<readonly Row[]>;
    key(row: Row): string | number;
    view(row: Row): Item;
  },
): Promise<{ items: Item[]; nextCursor: string | null }> {
  const rows = await list.rows(list.after(cursor), limit + 1);
  return toPage(rows, limit, list.key, list.view);
}
