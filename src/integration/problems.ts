import type { IntegrationErrorCode } from '../wire/errors.ts';
import { Problem, type ProblemOptions } from '../wire/problem.ts';

export function integrationProblem(code: IntegrationErrorCode, message: string, options?: ProblemOptions): Problem {
  return new Problem(code, message, options);
}
