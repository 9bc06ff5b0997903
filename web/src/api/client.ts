import { basePath } from '../app/base-path.ts';
import type { Operations } from '../generated/api.ts';

/** The typed client of the public API: "GET /api/v1/devices" names an operation, its types come from the API's own description. */
export type Operation = keyof Operations;
export type Answer<O extends Operation> = Operations[O]['answer'];

type Part<Name extends string, Value> = [Value] extends [never]
  ? unknown
  : Record<string, never> extends Value
    ? { [key in Name]?: Value }
    : { [key in Name]: Value };
export type Input<O extends Operation> = Part<'path', Operations[O]['path']> &
  Part<'query', Operations[O]['query']> &
  Part<'body', Operations[O]['body']>;

type AnyInput = { path?: Record<string, unknown>; query?: Record<string, unknown>; body?: unknown };

/** An error that the API answered, or `unreachable` when no answer came. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly { pointer: string; detail: string }[];
  constructor(status: number, code: string, detail: string, errors: readonly { pointer: string; detail: string }[] = []) {
    super(detail);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

const TIMEOUT_MS = 30_000;

/** The session's token against forged requests; GET /api/v1/me and POST /api/v1/session give it. */
let csrfToken: string | undefined;
export function rememberCsrfToken(token: string | undefined): void {
  csrfToken = token;
}

/** Calls one operation. @throws ApiError */
export async function call<O extends Operation>(operation: O, input: Input<O>, signal?: AbortSignal): Promise<Answer<O>> {
  const response = await send(operation, input, signal);
  if (response.status === 204) return undefined as Answer<O>;
  return (await response.json()) as Answer<O>;
}

async function send<O extends Operation>(operation: O, input: Input<O>, signal: AbortSignal | undefined): Promise<Response> {
  const { body } = input as AnyInput;
  const [method = 'GET'] = operation.split(' ');
  const headers: Record<string, string> = { accept: 'application/json' };
  // A blob brings its own type: imports send CSV.
  const isBlob = body instanceof Blob;
  if (body !== undefined) headers['content-type'] = isBlob ? body.type : 'application/json';
  if (method !== 'GET' && csrfToken !== undefined) headers['x-csrf-token'] = csrfToken;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(addressOf(operation, input), {
    method,
    headers,
    body: body === undefined ? null : isBlob ? body : JSON.stringify(body),
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
  }).catch((error: unknown) => {
    if (signal?.aborted === true) throw error;
    throw new ApiError(0, 'unreachable', 'The service does not answer. Check that it runs and that this machine reaches it.');
  });
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** The address of an operation, for links and downloads. Lists repeat their name; undefined and '' are left out. */
export function addressOf<O extends Operation>(operation: O, input: Input<O>): string {
  const { path = {}, query = {} } = input as AnyInput;
  const [, template = ''] = operation.split(' ');
  const filled = template.replace(/\{(\w+)\}/g, (_match, name: string) => encodeURIComponent(String(path[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const each of Array.isArray(value) ? value : [value]) if (each !== undefined && each !== '') search.append(name, String(each));
  return `${basePath}${filled}${search.size > 0 ? `?${search}` : ''}`;
}

async function errorOf(response: Response): Promise<ApiError> {
  const problem: unknown = await response.json().catch(() => undefined);
  const { code, detail, errors } = (typeof problem === 'object' && problem !== null ? problem : {}) as {
    code?: string;
    detail?: string;
    errors?: { pointer: string; detail: string }[];
  };
  return new ApiError(response.status, code ?? 'unknown', detail ?? `The service answered ${response.status}`, errors);
}
