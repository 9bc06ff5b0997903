import type { ForgeErrorCode } from '../wire/errors.ts';
import { Problem, type ProblemOptions } from '../wire/problem.ts';

export function forgeProblem(code: ForgeErrorCode, message: string, options?: ProblemOptions): Problem {
  return new Problem(code, message, options);
}
