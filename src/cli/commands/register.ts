import type { Command } from 'commander';
import { Problem } from '../../errors.ts';
import {
  type Call,
  calling,
  collectLabel,
  labelsOf,
  positive,
  renderOptionsOf,
  showItem,
  showTable,
  type Terminal,
  withTerminal,
} from '../call.ts';
import type { Item } from '../client.ts';
import { ago, type Column, field, plain, relativeTime } from '../table.ts';
import { watchLive } from '../watch.ts';
import { registerAuditCommands } from './audit.ts';
import { registerDeviceCommands } from './devices.ts';
import { registerIntegrationCommands } from './integrations.ts';
import { registerNotificationCommands } from './notifications.ts';
import { registerOrganizationCommands } from './organizations.ts';
import { registerPlanCommand } from './plans.ts';
import { registerHoldCommands, registerRolloutCommands } from './rollouts.ts';
import { registerLoginLink } from './session.ts';
import { registerSourceCommands } from './sources.ts';

/** Adds the commands for people and scripts that call the API of a running service. */
export function registerClientCommands(program: Command, io: Terminal): void {
  const group = (name: string, description: string): Command => withTerminal(program.command(name).description(description), io);
  registerDeviceCommands(group('devices', 'devices: register, watch, roll back, hold'), io);
  const sources = group('sources', 'Git repositories that devices follow');
  registerSourceCommands(sources, group('revisions', 'commits and their verdicts'), io);
  registerPlanCommand(group('plan', 'preview the effect of a branch on devices; exit code 1 if it does not validate'), io);
  registerRolloutCommands(group('rollouts', 'rollouts of revisions to devices, wave by wave'), io);
  registerNotificationCommands(group('notifications', 'webhooks that post events to other programs'), io);
  registerIntegrationCommands(group('integrations', 'accounts on device platforms, synced with this service'), io);
  const sites = group('sites', 'sites of devices');
  registerSites(sites, io);
  registerHoldCommands(sources, sites, io);
  registerTokens(group('tokens', 'API tokens of people and programs'), io);
  registerAuditCommands(group('audit', 'audit log: actors and actions'), io);
  registerEvents(group('events', 'events'), io);
  registerLoginLink(group('login-link', 'print a link that signs a browser in to the dashboard once, within ten minutes'), io);
  registerOrganizationCommands(group('organizations', 'tenants of the service; needs the root token'), io);
}

const SITE_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'NAME', value: field('name') },
  { title: 'CREATED', value: ago('createdAt') },
];

function registerSites(sites: Command, io: Terminal): void {
  calling(
    sites.command('list', { isDefault: true }).description('list all sites').option('--limit <n>', 'maximum number of rows', positive),
    io,
    async (call) => {
      showTable(call, SITE_COLUMNS, await call.client.list('/sites', {}, call.limit()));
    },
  );
  calling(sites.command('create <name>').description('create a site'), io, async (call) => {
    showItem(call, await call.client.send('POST', '/sites', { name: call.args[0] }));
  });
}

const TOKEN_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'NAME', value: field('name') },
  { title: 'ROLE', value: field('role') },
  { title: 'ENDS IN', value: field('last4') },
  { title: 'LAST USED', value: ago('lastUsedAt') },
  { title: 'CREATED', value: ago('createdAt') },
];

function registerTokens(tokens: Command, io: Terminal): void {
  calling(
    tokens.command('list', { isDefault: true }).description('list valid tokens').option('--limit <n>', 'maximum number of rows', positive),
    io,
    async (call) => {
      showTable(call, TOKEN_COLUMNS, await call.client.list('/tokens', {}, call.limit()));
    },
  );
  const create = tokens
    .command('create <name>')
    .description('create a token, shown once')
    .option('--role <role>', 'viewer, operator or admin', 'viewer')
    .option('--email <address>', 'address of its owner: a policy may forbid authors to approve their own commits');
  calling(create, io, async (call) => {
    showItem(call, await call.client.send('POST', '/tokens', { name: call.args[0], role: call.text('role'), email: call.text('email') }));
  });
  const enrol = tokens
    .command('enrol')
    .description('create a token with which devices register themselves, shown once')
    .option('--uses <n>', 'number of devices that may use it', positive)
    .option('--expires-in <seconds>', 'default: one day', positive)
    .option('--site <id>')
    .option('--source <id>', 'the source that they follow')
    .option('--reenrol', 'also admit registered devices of that site and source again')
    .option('--label <key=value>', 'may be repeated', collectLabel);
  calling(enrol, io, async (call) => {
    const [uses, expiresInSeconds] = [call.text('uses'), call.text('expiresIn')].map((text) =>
      text === undefined ? undefined : Number(text),
    );
    const wanted = {
      uses,
      expiresInSeconds,
      siteId: call.text('site'),
      sourceId: call.text('source'),
      labels: labelsOf(call),
      reenrol: call.flag('reenrol') ? true : undefined,
    };
    showItem(call, await call.client.send('POST', '/enrolment-tokens', wanted));
  });
  calling(tokens.command('revoke <id>').description('revoke the token'), io, async (call) => {
    showItem(call, await call.client.send('DELETE', `/tokens/${call.segment(0)}`), 'revoked');
  });
}

const EVENT_COLUMNS: Column[] = [
  { title: 'CURSOR', value: field('cursor') },
  { title: 'WHEN', value: ago('at') },
  { title: 'TYPE', value: field('type') },
  { title: 'SUBJECT', value: field('subject') },
  { title: 'DATA', value: field('data') },
];

function registerEvents(events: Command, io: Terminal): void {
  const command = events
    .option('--after <cursor>', 'only events after this cursor')
    .option('--limit <n>', 'maximum number of rows', positive, '50')
    .option('--follow', 'keep printing new events; with --json one object per line');
  calling(command, io, async (call) => {
    const after = call.text('after');
    if (after !== undefined && !/^\d{1,15}$/.test(after))
      throw new Problem('usage', `Cannot start after "${after}": must be the cursor of an event`);
    if (call.flag('follow')) await follow(call, after === undefined ? undefined : Number(after));
    else showTable(call, EVENT_COLUMNS, await call.client.list('/events', { after }, call.limit()));
  });
}

/** New events arrive over the live connection. The API lists those it may miss: at the start, after an interruption, or without it. */
async function follow(call: Call, after: number | undefined): Promise<void> {
  const { client, io, server, token, proxies } = call;
  let last = after;
  const print = (event: Item): void => {
    const cursor = Number(event.cursor);
    if (last !== undefined && cursor <= last) return;
    last = cursor;
    io.out(call.json ? `${JSON.stringify(event)}\n` : eventLine(event, renderOptionsOf(io).now));
  };
  for await (const message of watchLive({ server, token, proxies, topics: ['events'], signal: io.signal })) {
    if (message.kind === 'event') print(message.event);
    else if (last !== undefined) for (const event of await client.list('/events', { after: last }, Number.MAX_SAFE_INTEGER)) print(event);
    else if (message.cursor !== undefined) last = message.cursor;
    else if (message.polling === true) last = Number((await client.list('/events', {}, Number.MAX_SAFE_INTEGER)).at(-1)?.cursor ?? 0);
  }
}

function eventLine(event: Item, now: Date): string {
  const texts = EVENT_COLUMNS.slice(2).map((column) => plain(column.value(event, now)));
  return `${plain(relativeTime(String(event.at), now)).padEnd(10)}  ${texts.join('  ')}\n`;
}
