import { expect, test } from 'vitest';
import type { Event } from '../../src/event/event.ts';
import { FORMATS } from '../../src/notification/notification.ts';
import { type Message, render } from '../../src/notification/render.ts';
import { sentenceOf } from '../../src/notification/sentence.ts';
import { EVENT_TYPES } from '../../src/wire/event/events.ts';

const ORGANIZATION = '01890000-0000-7000-8000-000000000000';
const ROLLOUT = '01890000-0000-7000-8000-0000000000aa';

function anEvent(over: Partial<Event> = {}): Event {
  return {
    organizationId: ORGANIZATION,
    cursor: 42,
    type: 'rollout.aborted',
    subject: `rollout:${ROLLOUT}`,
    data: {
      sourceId: 's',
      commit: 'a1b2c3d4e5f60718',
      detail: '3 of 10 devices failed, the budget is 2',
      succeeded: 7,
      failed: 3,
      offline: 0,
    },
    at: new Date('2026-03-01T12:00:00.123Z'),
    ...over,
  };
}

const rendering = { id: 'delivery-1', publicUrl: 'https://bellwether.example.com', sourceName: 'tills' };
const parsed = ({ body }: Message) => JSON.parse(body);

test('CloudEvents: every type of event has all required attributes, with names and types as specified', () => {
  for (const type of EVENT_TYPES) {
    const message = render('cloudevents', anEvent({ type }), rendering);
    expect(message.contentType).toBe('application/cloudevents+json; charset=utf-8');
    const { data, ...attributes } = parsed(message);
    expect(attributes).toMatchObject({ specversion: '1.0', id: '42', source: `urn:uuid:${ORGANIZATION}`, type: `bellwether.${type}` });
    for (const [name, value] of Object.entries(attributes)) {
      expect(name).toMatch(/^[a-z0-9]{1,20}$/);
      if (name === 'severitynumber') expect(value).toSatisfy(Number.isInteger);
      else expect(value).toMatch(/^\S+$/);
    }
    expect(new URL(attributes.source).protocol).toBe('urn:');
    expect(new Date(attributes.time).toISOString()).toBe('2026-03-01T12:00:00.123Z');
    expect(data).toEqual(anEvent().data);
  }
});

test('CloudEvents: the sequence compares as text in the order of cursors, and a test event has its own id', () => {
  const sequences = [1, 9, 10, 99_999, Number.MAX_SAFE_INTEGER].map(
    (cursor) => parsed(render('cloudevents', anEvent({ cursor }), rendering)).sequence,
  );
  expect(sequences.toSorted()).toEqual(sequences);
  expect(parsed(render('cloudevents', anEvent({ cursor: 0 }), rendering)).id).toBe('delivery-1');
  expect(parsed(render('cloudevents', anEvent(), rendering))).toMatchObject({ severitytext: 'ERROR', severitynumber: 17 });
});

test('json: the event as the API returns it, with its severity', () => {
  expect(parsed(render('json', anEvent(), rendering))).toEqual({
    cursor: 42,
    type: 'rollout.aborted',
    at: '2026-03-01T12:00:00.123Z',
    organizationId: ORGANIZATION,
    subject: `rollout:${ROLLOUT}`,
    data: anEvent().data,
    severity: 'error',
  });
});

test('slack: a sentence with a link, as text and as blocks', () => {
  const message = parsed(render('slack', anEvent(), rendering));
  const link = `<https://bellwether.example.com/api/v1/rollouts/${ROLLOUT}|rollout:${ROLLOUT}>`;
  const line =
    ':red_circle: Rollout of tills a1b2c3d4e5 was aborted (7 succeeded, 3 failed, 0 offline): 3 of 10 devices failed, the budget is 2';
  expect(message).toEqual({
    text: `${line} (${link})`,
    blocks: [
      { type: 'section', text: { type: 'mrkdwn', text: line } },
      { type: 'context', elements: [{ type: 'mrkdwn', text: `${link} · rollout.aborted · 2026-03-01T12:00:00.123Z` }] },
    ],
  });
});

test('slack: no text becomes a link or a channel mention, or exceeds a block', () => {
  const data = { commit: 'abc', errors: [`<!channel> & <https://evil.example|click>\u0000\n${'<'.repeat(5000)}`] };
  const message = parsed(render('slack', anEvent({ type: 'revision.rejected', subject: 'source:<x|y>', data }), rendering));
  const all = [message.text, message.blocks[0].text.text, message.blocks[1].elements[0].text];
  for (const text of all) {
    expect(text.length).toBeLessThan(3000);
    const withoutLink = text.replace(/<https:\/\/bellwether\.example\.com\/api\/v1\/sources\/\S+\|source:&lt;x\|y&gt;>/, '');
    expect(withoutLink).not.toMatch(/[<>\p{Cc}]/u);
  }
  expect(message.text).toContain('&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;');
});

test('every type of event has a complete sentence, even with empty data', () => {
  for (const type of EVENT_TYPES) {
    for (const data of [
      {},
      { status: 'OFFLINE', state: 'timed_out', verdict: 'invalid', type: 'run_hook', ref: 'refs/heads/main', wave: 2 },
    ]) {
      const sentence = sentenceOf(anEvent({ type, subject: 'device:till-7', data }), 'tills');
      expect(sentence, type).toMatch(/^[A-Z][^{}]+$/);
      expect(sentence, type).not.toMatch(/undefined|null|\[object/);
    }
  }
});

test('sentences are plain English', () => {
  const sentence = (type: Event['type'], subject: string, data: Record<string, unknown>) =>
    sentenceOf(anEvent({ type, subject, data }), 'tills');
  expect(sentence('device.status', 'device:till-7', { status: 'OFFLINE' })).toBe('Device till-7 is offline');
  expect(sentence('device.status', 'device:till-7', { status: 'ERROR' })).toBe('Device till-7 is in error');
  expect(sentence('device.imported', 'integration:golioth', { name: 'Meters', deviceIds: ['m1'] })).toBe(
    'Integration Meters has new devices',
  );
  expect(sentence('deployment.state', 'device:till-7', { state: 'rolled_back', detail: 'health check failed' })).toBe(
    'Device till-7 has a deployment that is rolled back: health check failed',
  );
  expect(
    sentence('revision.rejected', 'source:1', { commit: 'a1b2c3d4e5f6', verdict: 'invalid', errors: ['app.json:3 /vlan is 5000'] }),
  ).toBe('Commit a1b2c3d4e5 of tills is invalid: app.json:3 /vlan is 5000');
  expect(sentence('source.failed', 'source:1', { detail: 'the host answered 500' })).toBe(
    'Source tills cannot be read: the host answered 500',
  );
  expect(sentenceOf(anEvent({ type: 'source.deleted', subject: 'source:1', data: { name: 'old' } }), undefined)).toBe(
    'Source old was deleted',
  );
});

test('the same event is rendered to the same bytes', () => {
  for (const format of FORMATS) expect(render(format, anEvent(), rendering)).toEqual(render(format, anEvent(), rendering));
});
