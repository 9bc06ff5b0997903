/**
 * The search of a page's address. A field is a parser; what it does not know is left out, and never an error: people edit addresses by hand.
 * The default of a field stays out of the address, so that a shared address says only what differs.
 */
type Field<Value> = (raw: unknown) => Value | undefined;
type Fields = Record<string, Field<unknown>>;
export type SearchOf<Shape extends Fields> = { [Name in keyof Shape]?: NonNullable<ReturnType<Shape[Name]>> };

/** For `validateSearch` of a route. */
export function searchOf<Shape extends Fields>(shape: Shape): (raw: Record<string, unknown>) => SearchOf<Shape> {
  return (raw) => {
    const parsed = Object.entries(shape).flatMap(([name, field]) => {
      const value = field(raw[name]);
      return value === undefined ? [] : [[name, value]];
    });
    return Object.fromEntries(parsed) as SearchOf<Shape>;
  };
}

export function oneOf<const Value extends string>(values: readonly Value[]): Field<Value> {
  return (raw) => values.find((value) => value === raw);
}

/** Several values of a filter; a single one may stand without a list. */
export function listOf<const Value extends string>(values: readonly Value[]): Field<Value[]> {
  return (raw) => {
    const given = Array.isArray(raw) ? raw : [raw];
    const known = values.filter((value) => given.includes(value));
    return known.length === 0 ? undefined : known;
  };
}

export const text: Field<string> = (raw) =>
  typeof raw === 'string' && raw !== '' ? raw : typeof raw === 'number' ? String(raw) : undefined;
export const flag: Field<boolean> = (raw) => (typeof raw === 'boolean' ? raw : undefined);
export const natural: Field<number> = (raw) => (typeof raw === 'number' && Number.isInteger(raw) && raw >= 0 ? raw : undefined);
