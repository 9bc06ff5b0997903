import type { Command } from 'commander';
import { Problem } from '../../errors.ts';
import { asItem, type Call, calling, collectLabel, labelsOf, positive, showItem, showTable, type Terminal } from '../call.ts';
import { ago, type Column, field } from '../table.ts';
import { registerDeliveries } from './deliveries.ts';

const NOTIFICATION_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'NAME', value: field('name') },
  { title: 'STATUS', value: field('status') },
  { title: 'FORMAT', value: field('format') },
  { title: 'EVENTS', value: field('events') },
  { title: 'FROM', value: field('minimumSeverity') },
  { title: 'DELIVERED', value: ago('lastDeliveredAt') },
  { title: 'ERROR', value: field('lastError') },
  { title: 'URL', value: field('url') },
];

const DELIVERY_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'STATE', value: field('state') },
  { title: 'EVENT', value: field('eventType') },
  { title: 'SUBJECT', value: field('subject') },
  { title: 'ATTEMPTS', value: field('attempts') },
  { title: 'CREATED', value: ago('createdAt') },
  { title: 'NEXT TRY', value: ago('nextTryAt') },
  { title: 'ANSWERS', value: (item) => answersOf(item.tries) },
];

const pathOf = (call: Call, rest = ''): string => `/notifications/${call.segment(0)}${rest}`;

export function registerNotificationCommands(notifications: Command, io: Terminal): void {
  registerQueries(notifications, io);
  registerChanges(notifications, io);
}

function registerQueries(notifications: Command, io: Terminal): void {
  calling(
    notifications
      .command('list', { isDefault: true })
      .description('list all notifications')
      .option('--limit <n>', 'maximum number of rows', positive),
    io,
    async (call) => showTable(call, NOTIFICATION_COLUMNS, await call.client.list('/notifications', {}, call.limit())),
  );
  calling(notifications.command('get <id>').description('show the notification'), io, async (call) =>
    showItem(call, await call.client.get(pathOf(call))),
  );
  calling(notifications.command('test <id>').description('post an event to it now'), io, async (call) => {
    const answer = await call.client.send('POST', pathOf(call, '/test'));
    showItem(call, answer);
    if (asItem(answer)?.ok === false)
      throw new Problem(
        'notification_test_failed',
        `Cannot deliver to notification "${call.args[0]}": its receiver did not accept the test event`,
      );
  });
  registerDeliveries(notifications, io, {
    description: 'list deliveries and their results, newest event first',
    redeliver: 'post this delivery again',
    columns: DELIVERY_COLUMNS,
    pathOf,
  });
}

function registerChanges(notifications: Command, io: Terminal): void {
  const create = notifications
    .command('create')
    .description('create a webhook; its URL may be in BELLWETHER_NOTIFICATION_URL; its secret is shown once')
    .requiredOption('--name <name>');
  calling(settings(create), io, async (call) => {
    const url = call.text('url') ?? call.io.env.BELLWETHER_NOTIFICATION_URL;
    if (url === undefined)
      throw new Problem('usage', 'Cannot create a notification without --url: give it there or in BELLWETHER_NOTIFICATION_URL');
    showItem(call, await call.client.send('POST', '/notifications', { ...settingsOf(call), url }));
  });
  const update = notifications.command('update <id>').description('change the given settings').option('--name <name>');
  calling(settings(update).option('--enable').option('--disable'), io, async (call) => {
    if (call.flag('enable') && call.flag('disable')) throw new Problem('usage', 'Cannot use --enable and --disable together');
    const enabled = call.flag('enable') ? true : call.flag('disable') ? false : undefined;
    showItem(call, await call.client.send('PATCH', pathOf(call), { ...settingsOf(call), ...(enabled === undefined ? {} : { enabled }) }));
  });
  calling(notifications.command('delete <id>').description('delete the notification with its deliveries'), io, async (call) =>
    showItem(call, await call.client.send('DELETE', pathOf(call)), 'deleted'),
  );
  calling(
    notifications.command('rotate-secret <id>').description('create a new secret, shown once; the old one also signs for another day'),
    io,
    async (call) => showItem(call, await call.client.send('POST', pathOf(call, '/secret'))),
  );
}

/** A secret URL is safer in the environment, because other users can read the arguments of a process. */
function settings(command: Command): Command {
  return command
    .option('--url <url>', 'address to post to')
    .option(
      '--event <type>',
      'event type such as rollout.aborted, rollout.* or *; may be repeated',
      (text, before: string[] | undefined) => [...(before ?? []), text],
    )
    .option('--format <format>', 'cloudevents, json or slack')
    .option('--min-severity <severity>', 'info, warning or error')
    .option('--source <id>', 'only events of this source')
    .option('--site <id>', 'only devices of this site')
    .option('--label <key=value>', 'only devices with this label; may be repeated', collectLabel);
}

function settingsOf(call: Call): Record<string, unknown> {
  const [name, url, format, minimumSeverity, sourceId, siteId] = ['name', 'url', 'format', 'minSeverity', 'source', 'site'].map(call.text);
  const events = call.text('event')?.split('\n');
  const given = { name, url, events, format, minimumSeverity, sourceId, siteId, labels: labelsOf(call) };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** The answers to the last attempts: `500, no answer, 200`. */
function answersOf(tries: unknown): string {
  const attempts: unknown[] = Array.isArray(tries) ? tries : [];
  return attempts.map((one) => String(asItem(one)?.status ?? 'no answer')).join(', ') || '-';
}
