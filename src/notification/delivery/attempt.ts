import type { SecretBox } from '../../crypto/secret-box.ts';
import { signStandardWebhooks } from '../../crypto/signature.ts';
import type { Sql } from '../../db/connect.ts';
import { messageOf, Problem } from '../../errors.ts';
import type { Event } from '../../event/event.ts';
import { foreignText } from '../../git/problems.ts';
import { sourceNameOf } from '../../source/store.ts';
import type { Notification } from '../notification.ts';
import { render } from '../render.ts';
import { openSecrets, openUrl } from '../secrets.ts';
import { sourceIdOf } from '../sentence.ts';
import type { Sender, Sent } from './send.ts';

export type Post = { sql: Sql; box: SecretBox; sender: Sender; publicUrl: string };

/**
 * Sends an event to a notification's URL, once, signed by its secrets. `id` is the delivery's.
 * @returns what came of it, without secrets. @throws the signal's reason when it aborts
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
    // A secret that no key opens is mended by entering it anew: the notification must say so, and be tried again.
    if (!(error instanceof Problem)) throw error;
    return { at, durationMs: 0, status: null, error: foreignText(messageOf(error)), response: '', retryAfterSeconds: null };
  }
}

/** Text that a receiver chose, fit to be stored and shown: without control characters but line feeds. */
function foreignLines(text: string): string {
  return text.replace(/[^\P{C}\n]/gu, ' ').trim();
}

/** Shorter parts of a URL are no secrets, and are found in many words. */
const MIN_SECRET_CHARACTERS = 8;

/** Receivers may tell back what they were sent: the URL's credentials, the secrets, tokens of ours. */
function withoutSecrets(text: string, url: string, secrets: readonly string[]): string {
  const { pathname, search } = new URL(url);
  const known = [url, pathname + search, ...(search === '' ? [] : [pathname, search]), ...secrets].filter(
    (part) => part.length >= MIN_SECRET_CHARACTERS,
  );
  const hidden = known.reduce((shown, secret) => shown.replaceAll(secret, '[redacted]'), text);
  return hidden.replace(/\b(whsec_|bw[tde]_)[\w+/=-]+/g, '[redacted]');
}
