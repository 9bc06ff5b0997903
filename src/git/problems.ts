import type { GitErrorCode } from '../wire/errors.ts';
import { isNoSpace } from '../wire/no-space.ts';
import { Problem, type ProblemOptions } from '../wire/problem.ts';

export { isProblem } from '../wire/problem.ts';

export function gitProblem(code: GitErrorCode, message: string, options?: ProblemOptions): Problem {
  return new Problem(code, message, options);
}

/** Makes a server's text safe for one log line: no control characters, at most 300 characters. */
export function foreignText(text: string): string {
  const line = text.replace(/[\p{C}\s]+/gu, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

/** @param where the repository's address in quotes @param what the host's action in place of Git's answer */
export function signInProblem(where: string, what: string): Problem {
  const advice = "it requires a sign-in; check the source's credentials, and that its URL is the repository's";
  return gitProblem('git_auth', `Cannot read ${where}: ${what} instead of Git's answer; ${advice}`);
}

/** Converts a "disk full" error of writing a mirror to its Problem; returns any other error unchanged. */
export function mirrorProblem(error: unknown): unknown {
  if (error instanceof Problem || !isNoSpace(error)) return error;
  const advice = 'free space on the disk of DATA_DIR; the service then continues by itself';
  return gitProblem('mirror_no_space', `Cannot store the fetched repository: the disk of this service is full; ${advice}`, {
    cause: error,
  });
}
