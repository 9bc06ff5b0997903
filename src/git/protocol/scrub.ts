import { Problem, reworded } from '../../wire/problem.ts';
import type { Credentials } from '../http/client.ts';

const HIDDEN = '***';
/** Where a host's text was cut, so much of a secret's beginning is looked for. */
const MIN_BEGINNING = 4;

/** The same error without the credentials, which a host may say back in its own: what it says is stored and shown. */
export function withoutCredentials(error: unknown, credentials: Credentials | undefined): unknown {
  if (!(error instanceof Problem) || credentials === undefined) return error;
  const secret = 'token' in credentials ? credentials.token : credentials.password;
  const user = 'token' in credentials ? 'oauth2' : credentials.username;
  const basic = Buffer.from(`${user}:${secret}`).toString('base64');
  const message = [secret, encodeURIComponent(secret), basic].reduce(hide, error.message);
  if (message === error.message) return error;
  // Its cause may have them too.
  return reworded(error, { message, cause: undefined });
}

function hide(text: string, secret: string): string {
  if (secret.length < MIN_BEGINNING) return text;
  const whole = text.replaceAll(secret, HIDDEN);
  for (let length = secret.length - 1; length >= MIN_BEGINNING; length -= 1) {
    const cut = `${secret.slice(0, length)}…`;
    if (whole.includes(cut)) return whole.replaceAll(cut, `${HIDDEN}…`);
  }
  return whole;
}
