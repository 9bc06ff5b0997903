import { type FieldError, Problem } from './wire/problem.ts';

export { messageOf, Problem } from './wire/problem.ts';

export function notFound(noun: string, id: string): Problem {
  return new Problem('not_found', `Cannot find ${noun} "${id}"`, { status: 404 });
}

export function invalid(detail: string, errors?: FieldError[]): Problem {
  return new Problem('invalid_request', detail, { status: 400, errors });
}

/** The end of a refusal that a setting of the service decides: who may change it, and how. */
export function allowedBy(setting: `ALLOW_${string}`): string {
  return `whoever runs this service can allow it with ${setting}=true`;
}

export function conflict(code: string, detail: string): Problem {
  return new Problem(code, detail, { status: 409 });
}
