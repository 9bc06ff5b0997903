import { isIP } from 'node:net';
import type { Config } from '../config.ts';
import type { SecretBox } from '../crypto/secret-box.ts';
import { last4 } from '../crypto/tokens.ts';
import { allowedBy, invalid } from '../errors.ts';
import type { Sender } from './delivery/send.ts';
import type { Notification } from './notification.ts';
import type { SealedSecret } from './store.ts';

type Keyed = Pick<Notification, 'id'>;

const urlContext = ({ id }: Keyed) => `notification:${id}:url`;
/** One context for the current and the previous secret, since a replaced secret is moved without resealing. */
const secretContext = ({ id }: Keyed) => `notification:${id}:secret`;

/**
 * Seals a user's URL and derives a hint for display. An IP address in the URL is checked at once, the addresses of a host name at every connection.
 * @throws Problem `invalid_request`, `address_refused`
 */
export function sealUrl(
  { box, config, sender }: { box: SecretBox; config: Pick<Config, 'ALLOW_PRIVATE_NOTIFICATION_HOSTS'>; sender: Pick<Sender, 'guard'> },
  id: string,
  text: string,
): { urlSealed: string; urlHint: string } {
  const refuse = (detail: string) => invalid(`Cannot notify this URL: ${detail}`, [{ pointer: '/url', detail }]);
  const url = URL.parse(text);
  if (url === null) throw refuse('it is not a URL');
  // Receivers in a private network often have no certificate. Outside it, the service sends nothing in plain text.
  const [isOpen, scheme] = [config.ALLOW_PRIVATE_NOTIFICATION_HOSTS, url.protocol.slice(0, -1)];
  if (scheme === 'http' && !isOpen) throw refuse(`its scheme is "http", must be "https"; ${allowedBy('ALLOW_PRIVATE_NOTIFICATION_HOSTS')}`);
  if (scheme !== 'https' && scheme !== 'http') throw refuse(`its scheme is "${scheme}", must be "https"${isOpen ? ' or "http"' : ''}`);
  if (url.username !== '' || url.password !== '') throw refuse('it must not hold a user or a password');
  if (url.hash !== '') throw refuse('it must not have a fragment');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host)) sender.guard.check(host, host);
  const rest = url.pathname + url.search;
  return { urlSealed: box.seal(url.href, urlContext({ id })), urlHint: url.origin + (rest === '/' ? '/' : `/…${last4(rest)}`) };
}

/** @throws Problem `secret_unreadable` */
export function openUrl(box: SecretBox, notification: Pick<Notification, 'id' | 'urlSealed'>): string {
  return box.open(notification.urlSealed, urlContext(notification));
}

export function sealSecret(box: SecretBox, id: string, secret: string): SealedSecret {
  return { secretSealed: box.seal(secret, secretContext({ id })), secretLast4: last4(secret) };
}

/** Returns the secrets that sign now, the current one first. @throws Problem `secret_unreadable` */
export function openSecrets(
  box: SecretBox,
  notification: Pick<Notification, 'id' | 'secretSealed' | 'previousSecretSealed' | 'previousSecretUntil'>,
  now: Date,
): string[] {
  const { secretSealed, previousSecretSealed, previousSecretUntil } = notification;
  const previous = previousSecretUntil !== null && previousSecretUntil > now ? previousSecretSealed : null;
  return [secretSealed, previous].flatMap((sealed) => (sealed === null ? [] : [box.open(sealed, secretContext(notification))]));
}
