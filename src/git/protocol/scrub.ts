import { Problem, reworded } from '../../wire/problem.ts';
import type { Credentials } from '../http/client.ts';

const HIDDEN = '***';
/** A host's text may end within a secret. `hide` searches for prefixes of at least this many characters. */
const MIN_PREFIX = 4;

/** Removes credentials from the error: a host may echo them in its own message, which Bellwether stores and shows. */
export function withoutCredentials(error: unknown, credentials: Credentials | undefined): unknown {
  if (!(error instanceof Problem) || credentials === undefined) return error;
  const secret = 'token' in credentials ? credentials.token : credentials.password;
  const user = 'token' in credentials ? 'oauth2' : credentials.username;
  const basic = Buffer.from(`${user}:${secret}`).toString('base64');
  const message = [secret, encodeURIComponent(secret), basic].reduce(hide, error.message);
  if (message === error.message) return error;
  // The cause may contain them too.
  return reworded(error, { message, cause: undefined });
}

function hide(text: string, secret: string): string {
  if (secret.length < MIN_PREFIX) return text;
  const whole = text.replaceAll(secret, HIDDEN);
  for (let length = secret.length - 1; length >= MIN_PREFIX; length -= 1) {
    const cut = `${secret.slice(0, length)}…`;
    if (whole.includes(cut)) return whole.replaceAll(cut, `${HIDDEN}…`);
  }
  return whole;
}
