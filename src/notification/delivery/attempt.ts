import type { SecretBox } from '../../crypto/secret-box.ts';
import { signStandardWebhooks } from '../../crypto/signature.ts';
import type { Sql } from '../../db/connect.ts';
import { messageOf, Problem } from '../../errors.ts';
import type { Event } from '../../event/event.ts';
import { foreignText } from '../../git/problems.ts';
import { sourceNameOf } from '../../source/store.ts';
import { sourceIdOf } from '../../wire/event/sentence.ts';
import type { Notification } from '../notification.ts';
import { render } from '../render.ts';
import { openSecrets, openUrl } from '../secrets.ts';
import type { Sender, Sent } from './send.ts';

export type Post = { sql: Sql; box: SecretBox; sender: Sender; publicUrl: string };

/**
 * Sends an event to a notification's URL once, signed with its secrets. `id` is the delivery's.
 * @returns the result, without secrets. @throws the signal's reason when it aborts
 */
export async function attempt(post: Post, notification: Notification, event: Event, id: string, signal?: AbortSignal): Promise<Sent> {
  const at = new Date();
  try {
    const url = openUrl(post.box, notification);
    const secrets = openSecrets(post.box, notification, at);
    const sourceId = notification.format === 'slack' ? sourceIdOf(event) : undefined;
    const sourceName = sourceId === undefined ? undefined : await sourceNameOf(post.sql, event.organizationId, sourceId);
    const { contentType, body } = render(notification.format, event, { id, publicUrl: post.publicUrl, sourceName });
    const headers = { 'content-type': contentType, ...signStandardWebhooks(secrets, id, at, body) };
    const sent = await post.sender.post({ url, headers, body }, signal);
    const clean = (text: string) => withoutSecrets(text, url, secrets);
    return { ...sent, error: sent.error === null ? null : clean(sent.error), response: clean(foreignLines(sent.response)) };
  } catch (error) {
    // A user repairs an unreadable secret by entering it again. Until then the notification must show the error and stay due.
    if (!(error instanceof Problem)) throw error;
    return { at, durationMs: 0, status: null, error: foreignText(messageOf(error)), response: '', retryAfterSeconds: null };
  }
}

/** Makes a receiver's text safe to store and show: removes control characters except line feeds. */
function foreignLines(text: string): string {
  return text.replace(/[^\P{C}\n]/gu, ' ').trim();
}

/** Shorter parts of a URL are no secrets and occur in ordinary words. */
const MIN_SECRET_CHARACTERS = 8;

/** A receiver may echo the request: the URL's credentials, the secrets, or tokens of this service. */
function withoutSecrets(text: string, url: string, secrets: readonly string[]): string {
  const { pathname, search } = new URL(url);
  const known = [url, pathname + search, ...(search === '' ? [] : [pathname, search]), ...secrets].filter(
    (part) => part.length >= MIN_SECRET_CHARACTERS,
  );
  const hidden = known.reduce((shown, secret) => shown.replaceAll(secret, '[redacted]'), text);
  return hidden.replace(/\b(whsec_|bw[tde]_)[\w+/=-]+/g, '[redacted]');
}
