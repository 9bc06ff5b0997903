import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { generateApi } from 'swagger-typescript-api';

/**
 * Reads the API description from standard input and writes its types to `src/generated/api.ts`: the components, and `Operations`, which maps
 * "GET /api/v1/devices" to the types of its path, query, body and answer.
 */
const COLON = '~colon~';

type Description = { paths: Record<string, Record<string, { responses?: Record<string, unknown> }>> };

const description: Description = JSON.parse(await text(process.stdin));
for (const [path, item] of Object.entries(description.paths)) {
  delete description.paths[path];
  // The generator would take ":import" for a parameter.
  if (path.startsWith('/api/v1/')) description.paths[path.replace(':', COLON)] = item;
  // Every operation answers problems of one shape: the client knows it.
  for (const { responses = {} } of Object.values(item))
    for (const status of Object.keys(responses)) if (status >= '300') delete responses[status];
}
const { files } = await generateApi({
  spec: withNulls(description) as never,
  generateClient: false,
  generateRouteTypes: true,
  generateUnionEnums: true,
  silent: true,
});
const types = files[0]?.fileContent ?? '';
const operations = [...types.matchAll(/@request (\w+):(\S+)[\s\S]*?export namespace (\w+)/g)].map(
  ([, method, path, name]) =>
    `  '${method} ${path?.replace(COLON, ':')}': { path: Api.${name}.RequestParams; query: Api.${name}.RequestQuery; body: Api.${name}.RequestBody; answer: Api.${name}.ResponseBody };`,
);
if (operations.length === 0) throw new Error('Cannot type the API: the description names no operation');
const folder = join(import.meta.dirname, 'src/generated');
mkdirSync(folder, { recursive: true });
const file = join(folder, 'api.ts');
const written = `${types}\nexport type Operations = {\n${operations.join('\n')}\n};\n`;
if (!current(file, written)) writeFileSync(file, written);

/** The generator overlooks that an object or a list may be null where both stand in one `type`. */
function withNulls(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withNulls);
  if (typeof schema !== 'object' || schema === null) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, withNulls(value)]));
  const { type } = inner;
  const isNullable = Array.isArray(type) && type.includes('null') && type.some((each) => each === 'object' || each === 'array');
  if (!isNullable || (inner.properties === undefined && inner.items === undefined)) return inner;
  return { anyOf: [{ ...inner, type: type.find((each) => each !== 'null') }, { type: 'null' }] };
}

function current(path: string, wanted: string): boolean {
  try {
    return readFileSync(path, 'utf8') === wanted;
  } catch {
    return false;
  }
}
