import { Problem } from '../errors.ts';

/** Reads the token of an `Authorization: Bearer <token>` header. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

export function unauthorized(why: string): Problem {
  return new Problem('unauthorized', `Cannot authenticate: ${why}`);
}
