import { BrokenCircuitError } from 'cockatiel';
import type { IntegrationErrorCode } from '../wire/errors.ts';
import { Problem, type ProblemOptions } from '../wire/problem.ts';

export function integrationProblem(code: IntegrationErrorCode, message: string, options?: ProblemOptions): Problem {
  return new Problem(code, message, options);
}

export function circuitProblem(name: string, maxPauseSeconds: number, cause: BrokenCircuitError): Problem {
  return integrationProblem(
    'integration_unavailable',
    `Cannot reach the platform of "${name}": its last requests failed; the next one waits until it answers, or up to ${maxPauseSeconds} seconds`,
    { cause },
  );
}

export function pauseProblem(name: string, retryAfterSeconds: number): Problem {
  return integrationProblem(
    'integration_rate_limited',
    `Cannot ask the platform of "${name}" now: it takes no more requests for ${retryAfterSeconds} s`,
    { retryAfterSeconds },
  );
}

/** Whether the request was not sent because earlier ones failed. Waiting for the platform is then the next run's business. */
export function isCircuitOpen(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof BrokenCircuitError;
}

export function switchedOff(): Problem {
  return integrationProblem(
    'integration_disabled',
    'Cannot use integrations: this service runs with ENABLE_EXTERNAL_INTEGRATION=false; whoever runs it can switch them on',
  );
}
