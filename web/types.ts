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

/** The generator forgets the null of `type: ["object", "null"]` and of enums; it keeps that of a union. */
function withNulls(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withNulls);
  if (typeof node !== 'object' || node === null) return node;
  const {
    type,
    enum: values,
    ...rest
  } = Object.fromEntries(Object.entries(node).map(([name, value]) => [name, name === 'allOf' ? value : withNulls(value)]));
  const kept = { ...(type !== undefined && { type }), ...(values !== undefined && { enum: values }), ...rest };
  if (!Array.isArray(type) || !type.includes('null') || !(type.includes('object') || Array.isArray(values))) return kept;
  const [only, ...others] = type.filter((one) => one !== 'null');
  const known = Array.isArray(values) ? { enum: values.filter((value) => value !== null) } : {};
  const { description: about, ...shape } = rest;
  return {
    ...(about !== undefined && { description: about }),
    anyOf: [{ type: others.length === 0 ? only : [only, ...others], ...known, ...shape }, { type: 'null' }],
  };
}

function current(path: string, wanted: string): boolean {
  try {
    return readFileSync(path, 'utf8') === wanted;
  } catch {
    return false;
  }
}
