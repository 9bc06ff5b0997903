/** JSON that `JSON.stringify` cannot write: `1e309`, half a surrogate pair, a field `__proto__`, great depth. */
export class Raw {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The n-th object of a collection, independent of its id in this run, so that the same seed gives the same requests. */
export class Ref {
  readonly collection: string;
  readonly index: number;

  constructor(collection: string, index: number) {
    this.collection = collection;
    this.index = index;
  }
}

export function toJson(value: unknown, resolve: (ref: Ref) => string): string {
  if (value instanceof Raw) return value.text;
  if (value instanceof Ref) return JSON.stringify(resolve(value));
  if (Array.isArray(value)) return `[${value.map((item) => toJson(item, resolve)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const fields = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return `{${fields.map(([name, inner]) => `${JSON.stringify(name)}:${toJson(inner, resolve)}`).join(',')}}`;
}

type Path = readonly (string | number)[];

/** Replaces the value at the place that `pick` chooses, which may be the root. `undefined` removes a field. */
export function replaceAt(value: unknown, pick: number, replacement: unknown): unknown {
  const places = placesIn(value, []);
  return put(value, places[pick % places.length] ?? [], replacement);
}

function placesIn(value: unknown, path: Path): Path[] {
  if (value instanceof Raw || value instanceof Ref || typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([name, inner]) => placesIn(inner, [...path, name]))];
}

function put(value: unknown, path: Path, replacement: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return replacement;
  if (Array.isArray(value)) return value.map((item, at) => (at === Number(name) ? put(item, rest, replacement) : item));
  const entries = Object.entries(value as object).map(([key, inner]) => [key, key === name ? put(inner, rest, replacement) : inner]);
  return Object.fromEntries(entries);
}
