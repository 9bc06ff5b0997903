import type { GitErrorCode } from '../wire/errors.ts';
import { isNoSpace } from '../wire/no-space.ts';
import { Problem, type ProblemOptions } from '../wire/problem.ts';

export { isProblem } from '../wire/problem.ts';

export function gitProblem(code: GitErrorCode, message: string, options?: ProblemOptions): Problem {
  return new Problem(code, message, options);
}

/** Text that a server chose, fit for one line of a log: no control characters, at most 300 characters. */
export function foreignText(text: string): string {
  const line = text.replace(/[\p{C}\s]+/gu, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

/** @param where the repository's address in quotes @param what the host did instead of answering as Git */
export function signInProblem(where: string, what: string): Problem {
  const advice = "it wants a sign-in; check the source's credentials, and that its URL is the repository's";
  return gitProblem('git_auth', `Cannot read ${where}: ${what} instead of Git's answer; ${advice}`);
}

/** What stands for an error of writing to a mirror: a full disk is told as such, anything else stays what it is. */
export function mirrorProblem(error: unknown): unknown {
  if (error instanceof Problem || !isNoSpace(error)) return error;
  const advice = 'make room where DATA_DIR stands, it goes on by itself';
  return gitProblem('mirror_no_space', `Cannot keep what was fetched: the disk of this service is full; ${advice}`, { cause: error });
}
