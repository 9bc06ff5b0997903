import { type FieldError, Problem } from './wire/problem.ts';

export { messageOf, Problem } from './wire/problem.ts';

export function notFound(noun: string, id: string): Problem {
  return new Problem('not_found', `Cannot find ${noun} "${id}"`, { status: 404 });
}

export function invalid(detail: string, errors?: FieldError[]): Problem {
  return new Problem('invalid_request', detail, { status: 400, errors });
}

export function conflict(code: string, detail: string): Problem {
  return new Problem(code, detail, { status: 409 });
}
