import type { ConflictCode } from './wire/errors.ts';
import { type FieldError, Problem } from './wire/problem.ts';

export { isAbout, isProblem, messageOf, Problem, retryOf, reworded } from './wire/problem.ts';

export function notFound(noun: string, id: string): Problem {
  return new Problem('not_found', `Cannot find ${noun} "${id}"`);
}

export function invalid(detail: string, errors?: FieldError[]): Problem {
  return new Problem('invalid_request', detail, { errors });
}

/** End of a refusal that a setting of the service decides. It names who may change the setting, and how. */
export function allowedBy(setting: `ALLOW_${string}`): string {
  return `whoever runs this service can allow it with ${setting}=true`;
}

export function conflict(code: ConflictCode, detail: string): Problem {
  return new Problem(code, detail);
}

/** For a `catch` that expects errors of these codes, such as ENOENT. It returns `value` for them and throws every other error. */
export function expecting<T>(value: T, ...codes: readonly string[]): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && codes.includes(String(error.code))) return value;
    throw error;
  };
}
