/** Sends a GET to a path from the API's root. @throws when the service refuses it */
type Get = (path: string) => Promise<Record<string, unknown>>;

/** The list with the resources of a path's parameter, if it is not that path itself. */
const LISTED: Readonly<Record<string, string>> = {
  '/hooks': '/api/v1/sources',
  '/api/v1/devices/sites': '/api/v1/sites',
  '/api/devices': '/api/v1/devices',
  '/api/v1/profile/integrations': '/api/v1/integrations',
};
/** Resources that only lists below others contain, and the field that names them there. */
const BELOW: Readonly<Record<string, readonly [parents: string, list: string, field: string]>> = {
  '/api/v1/revisions': ['/api/v1/sources', 'revisions', 'id'],
  '/agent/v1/bundles': ['/api/v1/devices', 'deployments', 'bundle'],
};
const MOST = 20;

/** The path of the list whose resources the parameter after `collection` names, for example `/api/v1/devices`. */
export function listOf(collection: string): string {
  return LISTED[collection] ?? collection;
}

/** Valid values of the parameter `field` after this path, from the API's own lists; empty without a list. */
export async function idsIn(get: Get, collection: string, field: string): Promise<string[]> {
  if (collection.endsWith('/vendor')) return viewsAt(get, collection);
  const below = BELOW[collection];
  if (below === undefined) return rowsAt(get, listOf(collection), field);
  const [parents, list, name] = below;
  const found: string[] = [];
  for (const parent of await rowsAt(get, parents, 'id')) found.push(...(await rowsAt(get, `${parents}/${parent}/${list}`, name)));
  return [...new Set(found)];
}

/** The views of a device at its platform are no list of their own. */
async function viewsAt(get: Get, path: string): Promise<string[]> {
  const { views } = await get(path).catch(() => ({ views: [] }));
  return Array.isArray(views) ? views.map(({ name }) => String(name)) : [];
}

async function rowsAt(get: Get, path: string, field: string): Promise<string[]> {
  const { items } = await get(`${path}?limit=${MOST}`).catch(() => ({ items: [] }));
  const rows: Record<string, unknown>[] = Array.isArray(items) ? items : [];
  return rows.map((row) => String(row[field] ?? row.id));
}
