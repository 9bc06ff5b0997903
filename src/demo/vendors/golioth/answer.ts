import type { Json } from '../../../wire/text/json.ts';
import type { VendorRequest, VendorResponse } from '../vendor-server.ts';
import type { Project } from './state.ts';

/** One group of the API. `path` has a group for each id. */
export type Route = [method: string, path: RegExp, answer: (context: Context) => VendorResponse];
export type Context = { project: Project; request: VendorRequest; ids: readonly string[] };

/** Codes of gRPC, as the platform's errors carry them. */
export const GRPC = { invalid: 3, notFound: 5, exists: 6, denied: 7, precondition: 9, unimplemented: 12, unauthenticated: 16 } as const;

export function ok(data: Json): VendorResponse {
  return { status: 200, body: { data } };
}

export function problem(status: number, code: number, message: string): VendorResponse {
  return { status, body: { code, message, details: [] } };
}

export const notFound = (what: string) => problem(404, GRPC.notFound, `${what} not found`);
export const invalid = (message: string) => problem(400, GRPC.invalid, message);

/** A page of a list: from page 0, at most 100, by default 100. */
export function pageOf<T>({ query }: VendorRequest, items: readonly T[], show: (item: T) => Json): VendorResponse {
  const page = Math.max(0, Number(query.get('page') ?? 0));
  const perPage = Math.min(100, Math.max(1, Number(query.get('perPage') ?? 100)));
  const list = items.slice(page * perPage, (page + 1) * perPage).map(show);
  return { status: 200, body: { list, page, perPage, total: items.length } };
}

export function fieldsOf({ body }: VendorRequest): { [key: string]: Json } {
  return typeof body === 'object' && body !== null && !Array.isArray(body) ? body : {};
}
