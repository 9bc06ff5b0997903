import type { Command } from 'commander';
import { Problem } from '../../errors.ts';
import { UUID } from '../../ids.ts';
import { asItem, type Call, calling, collectLabel, labelsOf, positive, rowsOf, showItem, showTable, type Terminal } from '../call.ts';
import { showPreview } from '../preview.ts';
import { followDevice, showAgain } from '../progress.ts';
import { ago, type Column, field, plain, relativeTime, short } from '../table.ts';
import { registerBulkCommand } from './bulk.ts';

const DEVICE_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'NAME', value: field('name') },
  { title: 'STATUS', value: field('syncStatus') },
  { title: 'SINCE', value: ago('syncSince') },
  { title: 'CONNECTIVITY', value: field('connectivity') },
  { title: 'LAST SEEN', value: ago('lastSeenAt') },
  { title: 'TYPE', value: field('type') },
  { title: 'ERROR', value: field('error.code') },
];

const WHY_COLUMNS: Column[] = [
  { title: 'BLOCKER', value: field('code') },
  { title: 'SINCE', value: ago('since') },
  { title: 'DETAIL', value: field('detail') },
  { title: 'UNBLOCKED BY', value: field('unblockedBy') },
];

const BACKUP_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'CREATED', value: ago('createdAt') },
  { title: 'BUNDLE', value: short('bundle') },
  { title: 'REPORTED', value: short('reportedBundle') },
  { title: 'REVISION', value: field('revisionId') },
];

const DEPLOYMENT_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'STATE', value: field('state') },
  { title: 'KIND', value: field('kind') },
  { title: 'CREATED', value: ago('createdAt') },
  { title: 'FINISHED', value: ago('finishedAt') },
  { title: 'BUNDLE', value: short('bundle') },
  { title: 'ERROR', value: field('error.code') },
];

const pathOf = (call: Call, rest = ''): string => `/devices/${call.segment(0)}${rest}`;

export function registerDeviceCommands(devices: Command, io: Terminal): void {
  registerQueries(devices, io);
  registerPartQueries(devices, io);
  registerRegistry(devices, io);
  registerActions(devices, io);
  registerBulkCommand(devices, io);
}

function registerQueries(devices: Command, io: Terminal): void {
  const list = devices
    .command('list', { isDefault: true })
    .description('list devices, ordered by id')
    .option('--status <status>', 'in_sync, unverified, pending, updating, failed, rolled_back, drifted, held, unmanaged')
    .option('--connectivity <state>', 'online, offline, unknown')
    .option('--site <id>')
    .option('--source <id>')
    .option('--type <type>')
    .option('--label <key=value>')
    .option('-q, --query <text>', 'part of an id or name')
    .option('--limit <n>', 'maximum number of rows', positive)
    .option('--watch', 'refresh the list after each change');
  calling(list, io, (call) => {
    const [status, connectivity, site, source, type, label] = ['status', 'connectivity', 'site', 'source', 'type', 'label'].map(call.text);
    const query = { status, connectivity, site, source, type, label, q: call.text('query') };
    return showAgain(call, ['devices'], async () =>
      showTable(call, DEVICE_COLUMNS, await call.client.list('/devices', query, call.limit())),
    );
  });
  for (const [name, description, rest] of [
    ['get <id>', 'show the device', ''],
    ['status <id>', 'show its full state', '/status'],
  ] as const) {
    calling(devices.command(name).description(description).option('--watch', 'refresh after each change'), io, (call) =>
      showAgain(call, [`device:${call.args[0]}`], async () => showItem(call, await call.client.get(pathOf(call, rest)))),
    );
  }
  calling(
    devices.command('why <id>').description('show why it does not run the desired bundle: the chain of blockers, first one first'),
    io,
    async (call) => {
      const blockers = rowsOf(await call.client.get(pathOf(call, '/why')));
      if (blockers.length === 0 && !call.json) io.out('nothing: it has converged\n');
      else showTable(call, WHY_COLUMNS, blockers);
    },
  );
}

function registerPartQueries(devices: Command, io: Terminal): void {
  calling(
    devices
      .command('preview <id>')
      .description('show its files at a ref, compared with the files that it runs')
      .option('--ref <ref>', 'branch, tag or commit')
      .option('--provenance', 'also show the layer and file that each value comes from'),
    io,
    async (call) => {
      const query = { ref: call.text('ref'), provenance: call.flag('provenance') ? '1' : undefined };
      showPreview(call, await call.client.get(pathOf(call, '/preview'), query));
    },
  );
  calling(
    devices
      .command('vendor <id> [view]')
      .description("show the platform of the device and the names of its views, or one of the views: the vendor's side of the device")
      .option('--integration <id>', 'for a device of several integrations'),
    io,
    async (call) => {
      const view = call.args[1] === undefined ? '' : `/${call.segment(1)}`;
      const integration = call.text('integration');
      const query = integration === undefined ? '' : `?integration=${encodeURIComponent(integration)}`;
      showItem(call, await call.client.get(pathOf(call, `/vendor${view}${query}`)));
    },
  );
  calling(
    devices.command('logs <id>').description('show its last log lines').option('--limit <n>', 'maximum number of rows', positive, '100'),
    io,
    showLogs,
  );
  for (const [name, columns] of [
    ['backups', BACKUP_COLUMNS],
    ['deployments', DEPLOYMENT_COLUMNS],
  ] as const) {
    calling(
      devices
        .command(`${name} <id>`)
        .description(`list its ${name}, newest first`)
        .option('--limit <n>', 'maximum number of rows', positive, '50'),
      io,
      async (call) => {
        showTable(call, columns, await call.client.list(pathOf(call, `/${name}`), {}, call.limit()));
      },
    );
  }
}

function registerRegistry(devices: Command, io: Terminal): void {
  const register = devices
    .command('register <id>')
    .description('register a device; its key is shown once')
    .option('--name <name>')
    .option('--type <type>')
    .option('--site <id>')
    .option('--source <id>', 'the source it follows')
    .option('--path <folder>', 'its folder in a fleet repository')
    .option('--adapter <name>')
    .option('--label <key=value>', 'may be repeated', collectLabel);
  calling(register, io, async (call) => {
    const [name, type, siteId, sourceId, path, adapter] = ['name', 'type', 'site', 'source', 'path', 'adapter'].map(call.text);
    showItem(
      call,
      await call.client.send('POST', '/devices', { id: call.args[0], name, type, siteId, sourceId, path, adapter, labels: labelsOf(call) }),
    );
  });
  calling(
    devices.command('delete <id>').description('delete the device from the service; the device keeps its files'),
    io,
    async (call) => {
      showItem(call, await call.client.send('DELETE', pathOf(call)), 'deleted');
    },
  );
  const reenrol = devices
    .command('reenrol <id>')
    .description('admit a device that was flashed again: it gets a new key, and its old keys end')
    .option('--for <seconds>', 'how long the permission holds; default: one hour', positive)
    .option('--refuse', 'refuse the request');
  calling(reenrol, io, async (call) => {
    const path = pathOf(call, '/reenrolment');
    if (call.flag('refuse')) return showItem(call, await call.client.send('DELETE', path), 'refused');
    const seconds = call.text('for');
    showItem(call, await call.client.send('POST', path, seconds === undefined ? {} : { seconds: Number(seconds) }), 'may enrol again');
  });
  const bind = devices
    .command('bind <id>')
    .description('make the device follow another folder or source')
    .option('--path <folder>', 'its folder in a fleet repository')
    .option('--source <id>');
  calling(bind, io, async (call) => {
    const change = { path: call.text('path'), sourceId: call.text('source') };
    if (change.path === undefined && change.sourceId === undefined)
      throw new Problem('usage', 'Cannot bind the device: give --path, --source or both');
    showItem(call, await call.client.send('PATCH', pathOf(call), change), 'bound');
  });
  calling(
    devices.command('rotate-key <id>').description('create a new key, shown once; the old key works for another day'),
    io,
    async (call) => {
      showItem(call, await call.client.send('POST', pathOf(call, '/keys')));
    },
  );
}

function registerActions(devices: Command, io: Terminal): void {
  for (const [verb, description] of [
    ['start', 'follow its source'],
    ['stop', 'stop following its source; the device keeps its files'],
    ['refresh', 'check for a newer commit now'],
    ['retry', 'try the failed bundle again, even if the device has quarantined it'],
  ] as const) {
    const command = devices.command(`${verb} <id>`).description(description);
    if (verb !== 'stop') command.option('--watch', 'show the progress until it ends');
    calling(command, io, async (call) => actAndFollow(call, await call.client.send('POST', pathOf(call, `/${verb}`))));
  }
  const rollback = devices
    .command('rollback <id>')
    .description('roll back to an earlier bundle and hold the device there')
    .option('--to <bundle-or-backup>')
    .option('--reason <text>')
    .option('--watch', 'show the progress until it ends');
  calling(rollback, io, async (call) =>
    actAndFollow(
      call,
      await call.client.send('POST', pathOf(call, '/rollback'), { to: targetOf(call.text('to')), reason: call.text('reason') }),
    ),
  );
  const hold = devices
    .command('hold <id>')
    .description('keep the device at its present bundle')
    .option('--reason <text>')
    .option('--until-newer-revision', 'lift the hold at the next newer revision');
  calling(hold, io, async (call) => {
    const wanted = { reason: call.text('reason'), untilNewerRevision: call.flag('untilNewerRevision') ? true : undefined };
    showItem(call, await call.client.send('POST', pathOf(call, '/hold'), wanted), 'held');
  });
  calling(devices.command('release <id>').description('lift the hold'), io, async (call) => {
    showItem(call, await call.client.send('DELETE', pathOf(call, '/hold')), 'released');
  });
  const command = devices
    .command('command <id> <type>')
    .description('queue a command: ping, restart, update_config, …')
    .option('--payload <json>', 'JSON payload of the command');
  calling(command, io, async (call) => {
    showItem(
      call,
      await call.client.send('POST', pathOf(call, '/commands'), { type: call.args[1], payload: payloadOf(call.text('payload')) }),
    );
  });
}

async function actAndFollow(call: Call, answer: unknown): Promise<void> {
  if (call.watch) await followDevice(call);
  else showItem(call, answer);
}

/** A bundle's digest or a backup's id; undefined: the last healthy bundle. */
function targetOf(text: string | undefined): { bundle: string } | { backup: string } | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9a-f]{64}$/.test(text)) return { bundle: text };
  if (UUID.test(text)) return { backup: text };
  throw new Problem('usage', `Cannot roll back to "${text}": must be a bundle's digest (64 hex digits) or a backup's id`);
}

function payloadOf(text: string | undefined): unknown {
  if (text === undefined) return {};
  try {
    const payload = asItem(JSON.parse(text));
    if (payload !== undefined) return payload;
  } catch {
    // The error below covers this, too.
  }
  throw new Problem('usage', `Cannot use the payload ${text}: must be a JSON object`);
}

/** Prints the newest line last, next to the prompt. */
async function showLogs(call: Call): Promise<void> {
  const lines = (await call.client.list(pathOf(call, '/logs'), {}, call.limit())).toReversed();
  if (call.json) return call.io.out(`${JSON.stringify(lines, null, 2)}\n`);
  const now = call.io.now?.() ?? new Date();
  for (const line of lines) {
    call.io.out(
      `${relativeTime(String(line.at), now).padEnd(10)}  ${plain(String(line.level)).padEnd(5)}  ${plain(String(line.message))}\n`,
    );
  }
}
