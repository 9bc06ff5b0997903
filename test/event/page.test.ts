import { expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/wire/event/events.ts';
import { eventsPage } from './page.ts';

test('docs/events.md is what the table of events says', async () => {
  await expect(eventsPage()).toMatchFileSnapshot('../../docs/events.md');
});

test('the page has one row per type, each with its four cells', () => {
  const rows = eventsPage()
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  expect(rows.map((row) => row.split('`')[1])).toEqual(EVENT_TYPES);
  for (const row of rows) expect(row.match(/ \| /g), row).toHaveLength(3);
});

test('the page writes severities, optional fields and values as a reader needs them', () => {
  const row = (type: string) =>
    eventsPage()
      .split('\n')
      .find((line) => line.startsWith(`| \`${type}\` |`));
  expect(row('source.failed')).toContain('| warning<br>error if `status` is `failing` | cannot be read |');
  expect(row('source.held')).toContain('`by` text<br>`reason` text<br>`revisionId?` id |');
  expect(row('device.cloned')).toContain('`agents` list of { `instance` text; `address` text }');
  expect(row('device.started')).toContain('`syncStatus` [syncStatus](#values)');
  expect(eventsPage()).toContain('\n- `syncStatus`: `unmanaged`, `in_sync`, ');
  expect(row('rollout.awaiting_approval')).toContain('`wave` number or null');
});
