import { unreachable } from '../async/unreachable.ts';
import { type Event, viewEvent } from '../event/event.ts';
import { severityOf } from '../event/severity.ts';
import type { Severity } from '../wire/event/kind.ts';
import type { Format } from './notification.ts';
import { sentenceOf } from './sentence.ts';

export type Message = { contentType: string; body: string };

/** The parts of a message besides the event. `id`: of the delivery. */
export type Rendering = { id: string; publicUrl: string; sourceName: string | undefined };

/** Renders an event. The result is deterministic, so that every attempt sends the same bytes. */
export function render(format: Format, event: Event, rendering: Rendering): Message {
  switch (format) {
    case 'cloudevents':
      return { contentType: 'application/cloudevents+json; charset=utf-8', body: JSON.stringify(cloudEvent(event, rendering)) };
    case 'json':
      return { contentType: 'application/json', body: JSON.stringify({ ...viewEvent(event), severity: severityOf(event) }) };
    case 'slack':
      return { contentType: 'application/json', body: JSON.stringify(slackMessage(event, rendering)) };
    default:
      return unreachable(format);
  }
}

/** Texts and numbers of OpenTelemetry, as in the CloudEvents severity extension. */
const CLOUD_SEVERITIES: Record<Severity, { severitytext: string; severitynumber: number }> = {
  info: { severitytext: 'INFO', severitynumber: 9 },
  warning: { severitytext: 'WARN', severitynumber: 13 },
  error: { severitytext: 'ERROR', severitynumber: 17 },
};
/** Number of digits of 2^53. Padded numbers compare as text in numeric order. */
const SEQUENCE_DIGITS = 16;

/** CloudEvents 1.0, structured mode. The organization is the source, since cursors are per organization. A test event has its delivery's id. */
function cloudEvent(event: Event, { id }: Rendering) {
  return {
    specversion: '1.0',
    id: event.cursor === 0 ? id : String(event.cursor),
    source: `urn:uuid:${event.organizationId}`,
    type: `bellwether.${event.type}`,
    subject: event.subject,
    time: event.at.toISOString(),
    datacontenttype: 'application/json',
    sequence: String(event.cursor).padStart(SEQUENCE_DIGITS, '0'),
    ...CLOUD_SEVERITIES[severityOf(event)],
    data: event.data,
  };
}

const SIGNS: Record<Severity, string> = { info: ':large_blue_circle:', warning: ':warning:', error: ':red_circle:' };

/** `text` is for push notifications and for services without blocks (Mattermost, Rocket.Chat). */
function slackMessage(event: Event, { publicUrl, sourceName }: Rendering) {
  const sentence = escapeMarkup(sentenceOf(event, sourceName));
  const link = `<${linkOf(publicUrl, event.subject)}|${escapeMarkup(event.subject)}>`;
  const line = `${SIGNS[severityOf(event)]} ${sentence}`;
  return {
    text: `${line} (${link})`,
    blocks: [
      { type: 'section', text: { type: 'mrkdwn', text: line } },
      { type: 'context', elements: [{ type: 'mrkdwn', text: `${link} · ${event.type} · ${event.at.toISOString()}` }] },
    ],
  };
}

/** API collections of the nouns that occur as subjects of events. */
const COLLECTIONS: Readonly<Record<string, string>> = {
  device: 'devices',
  source: 'sources',
  rollout: 'rollouts',
  notification: 'notifications',
};

/** Returns the API address of a subject; the service's address for a subject without one. */
function linkOf(publicUrl: string, subject: string): string {
  const [noun = '', id = ''] = subject.split(':', 2);
  const collection = COLLECTIONS[noun];
  return collection === undefined ? publicUrl : `${publicUrl}/api/v1/${collection}/${encodeURIComponent(id)}`;
}

/** Escapes Slack's three control characters, so that no text becomes a link or a channel mention. */
function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
