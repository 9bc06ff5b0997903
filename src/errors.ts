import type { ConflictCode } from './wire/errors.ts';
import { type FieldError, Problem } from './wire/problem.ts';

export { isAbout, isProblem, messageOf, Problem, retryOf, reworded } from './wire/problem.ts';

export function notFound(noun: string, id: string): Problem {
  return new Problem('not_found', `Cannot find ${noun} "${id}"`);
}

export function invalid(detail: string, errors?: FieldError[]): Problem {
  return new Problem('invalid_request', detail, { errors });
}

/** The end of a refusal that a setting of the service decides: who may change it, and how. */
export function allowedBy(setting: `ALLOW_${string}`): string {
  return `whoever runs this service can allow it with ${setting}=true`;
}

export function conflict(code: ConflictCode, detail: string): Problem {
  return new Problem(code, detail);
}
