import type { RemoteCall } from '../http/client.ts';
import type { Limits } from '../limits.ts';
import { gitProblem, isProblem } from '../problems.ts';
import { isOid } from '../remote.ts';

export type FetchOptions = RemoteCall & {
  /** The commit, 40 hex digits: a ref's tip or any other commit that the host serves. */
  oid: string;
  /** The ref that led to it, for messages. */
  ref: string;
  limits: Limits;
};

/** @throws Problem `invalid_ref` */
export function requireOid(options: Pick<FetchOptions, 'oid' | 'ref'>): void {
  if (!isOid(options.oid))
    throw gitProblem('invalid_ref', `Cannot fetch "${options.ref}" at "${options.oid}": a commit id has 40 hex digits`);
}

/** Names the ref in the error about an object that is no commit. @throws what `work` throws */
export async function withRefName<T>({ oid, ref }: Pick<FetchOptions, 'oid' | 'ref'>, work: Promise<T>): Promise<T> {
  return await work.catch((error: unknown) => {
    if (!isProblem(error, 'invalid_ref')) throw error;
    throw gitProblem('invalid_ref', error.message.replace(`"${oid}"`, `"${ref}"`), { status: error.status, cause: error });
  });
}
