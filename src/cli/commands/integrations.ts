import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { pause } from '../../async/pause.ts';
import { messageOf, Problem } from '../../errors.ts';
import { asItem, type Call, calling, positive, renderOptionsOf, showItem, showTable, type Terminal } from '../call.ts';
import type { Item } from '../client.ts';
import { ago, type Column, field, plain } from '../table.ts';

const INTEGRATION_COLUMNS: Column[] = [
  { title: 'ID', value: field('slug') },
  { title: 'NAME', value: field('name') },
  { title: 'TYPE', value: field('type') },
  { title: 'STATE', value: field('state') },
  { title: 'PRIMARY', value: field('primary') },
  { title: 'DIRECTION', value: field('direction') },
  { title: 'LAST SYNC', value: ago('lastSyncAt') },
  { title: 'NEXT SYNC', value: ago('nextSyncAt') },
  { title: 'ERROR', value: (item) => String(asItem(item.error)?.detail ?? '-') },
];
const PROVIDER_COLUMNS: Column[] = [
  { title: 'TYPE', value: field('kind') },
  { title: 'TITLE', value: field('title') },
  { title: 'CAN', value: (item) => abilitiesOf(item) },
];
const LOG_COLUMNS: Column[] = [
  { title: 'WHEN', value: ago('startedAt') },
  { title: 'RUN', value: (item) => String(item.runId).slice(-8) },
  { title: 'OPERATION', value: field('operation') },
  { title: 'DEVICE', value: field('deviceId') },
  { title: 'STATUS', value: field('status') },
  { title: 'BY', value: field('trigger') },
  { title: 'MS', value: field('durationMs') },
  { title: 'DETAILS', value: (item) => detailsOf(item) },
];
const CONFLICT_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'DEVICE', value: field('deviceId') },
  { title: 'FIELD', value: field('field') },
  { title: 'BASE', value: (item) => JSON.stringify(item.base) },
  { title: 'LOCAL', value: (item) => JSON.stringify(item.local) },
  { title: 'REMOTE', value: (item) => JSON.stringify(item.remote) },
  { title: 'STATE', value: field('state') },
  { title: 'BY', value: field('resolvedBy') },
  { title: 'CREATED', value: ago('createdAt') },
];

const pathOf = (call: Call, rest = ''): string => `/integrations/${call.segment(0)}${rest}`;

export function registerIntegrationCommands(integrations: Command, io: Terminal): void {
  registerQueries(integrations, io);
  registerChanges(integrations, io);
  registerSyncs(integrations, io);
  registerConflicts(integrations, io);
}

function registerQueries(integrations: Command, io: Terminal): void {
  calling(
    integrations
      .command('list', { isDefault: true })
      .description('list all integrations')
      .option('--limit <n>', 'maximum number of rows', positive),
    io,
    async (call) => showTable(call, INTEGRATION_COLUMNS, await call.client.list('/integrations', {}, call.limit())),
  );
  calling(integrations.command('get <id>').description('show the integration'), io, async (call) =>
    showItem(call, await call.client.get(pathOf(call))),
  );
  calling(integrations.command('providers').description('list the platforms that this service knows'), io, async (call) =>
    showTable(call, PROVIDER_COLUMNS, await call.client.list('/integrations/providers', {}, call.limit())),
  );
  calling(integrations.command('status <id>').description('show the last sync, the next one and what failed'), io, async (call) =>
    showItem(call, await call.client.get(pathOf(call, '/sync-status'))),
  );
}

/** Other users can read the arguments of a process: credentials come from a file, or from the environment. */
function registerChanges(integrations: Command, io: Terminal): void {
  const create = integrations
    .command('create <type>')
    .description('create an integration; its credentials come from a file or from BELLWETHER_CREDENTIALS, as JSON or YAML')
    .option('--name <name>')
    .option('--settings <file>', 'JSON or YAML, by the schema that `integrations providers --json` shows')
    .option('--credentials <file>', 'JSON or YAML')
    .option('--direction <direction>', 'import, export or both')
    .option('--strategy <strategy>', 'local_wins, remote_wins, newest_wins, manual or merge')
    .option('--interval <seconds>', 'from 60 to 86400', positive)
    .option('--test', 'try it at the platform first, and create nothing if that fails');
  calling(create, io, async (call) => {
    const wanted = { ...(await accountOf(call)), ...(await syncSettingsOf(call)), type: call.args[0] };
    if (call.flag('test'))
      await tryOut(call, '/integrations/test', { type: wanted.type, settings: wanted.settings, credentials: wanted.credentials });
    showItem(call, await call.client.send('POST', '/integrations', wanted));
  });
  calling(integrations.command('test <id>').description('try the stored settings and credentials at the platform'), io, (call) =>
    tryOut(call, pathOf(call, '/test'), {}),
  );
  const rotate = integrations
    .command('rotate <id>')
    .description('replace the credentials after a test; nothing else changes')
    .option('--credentials <file>', 'JSON or YAML; default: BELLWETHER_CREDENTIALS')
    .option('--force', 'store them without a test');
  calling(rotate, io, async (call) => {
    const { credentials } = await accountOf(call);
    if (credentials === undefined)
      throw new Problem('usage', 'Cannot rotate without credentials: give --credentials or BELLWETHER_CREDENTIALS');
    showItem(call, await call.client.send('POST', pathOf(call, '/credentials'), { credentials, force: call.flag('force') }));
  });
  calling(integrations.command('set-primary <id>').description('make it the primary one'), io, async (call) =>
    showItem(call, await call.client.send('POST', pathOf(call, '/set-primary'))),
  );
  calling(
    integrations
      .command('delete <id>')
      .description('remove the integration; its devices stay')
      .option('--force', 'even if it is the only one'),
    io,
    async (call) => showItem(call, await call.client.send('DELETE', pathOf(call, call.flag('force') ? '?force=true' : '')), 'deleted'),
  );
}

async function accountOf(call: Call): Promise<{ settings?: unknown; credentials?: unknown }> {
  const [settings, credentials] = [await documentOf(call.text('settings')), await documentOf(call.text('credentials'))];
  const given = credentials ?? parsed('BELLWETHER_CREDENTIALS', call.io.env.BELLWETHER_CREDENTIALS);
  return { ...(settings === undefined ? {} : { settings }), ...(given === undefined ? {} : { credentials: given }) };
}

async function syncSettingsOf(call: Call): Promise<Item> {
  const [name, direction, strategy, interval] = ['name', 'direction', 'strategy', 'interval'].map(call.text);
  const given = { name, direction, strategy, intervalSeconds: interval === undefined ? undefined : Number(interval) };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

async function documentOf(path: string | undefined): Promise<unknown> {
  if (path === undefined) return undefined;
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Problem('usage', `Cannot read "${path}": ${messageOf(cause)}`, { cause });
  });
  return parsed(`"${path}"`, text);
}

/** JSON is YAML. An error names the place and does not quote the text, which may hold a secret. */
function parsed(what: string, text: string | undefined): unknown {
  if (text === undefined || text.trim() === '') return undefined;
  try {
    return parse(text, { prettyErrors: false });
  } catch {
    throw new Problem('usage', `Cannot use ${what}: it is neither JSON nor YAML`);
  }
}

async function tryOut(call: Call, path: string, body: unknown): Promise<void> {
  const answer = asItem(await call.client.send('POST', path, body)) ?? {};
  if (answer.ok === false) {
    const { code, detail } = asItem(answer.error) ?? {};
    throw new Problem({ received: String(code) }, String(detail));
  }
  const { gaps, ...rest } = answer;
  showItem(call, call.json ? answer : rest);
  // The platform answers, and yet something of the settings has no effect.
  for (const gap of Array.isArray(gaps) ? gaps : []) call.io.err(`warning: ${plain(String(gap))}\n`);
}

/** Pause between two requests about a sync that runs. */
const ASK_MS = 500;

function registerSyncs(integrations: Command, io: Terminal): void {
  const sync = integrations
    .command('sync [id]')
    .description('sync an integration now, or all of them')
    .option('--wait', 'show the progress, and exit with 1 if the sync fails');
  calling(sync, io, async (call) => {
    if (call.args[0] === undefined) return showItem(call, await call.client.send('POST', '/integrations:sync-all'));
    const before = asItem(asItem(await call.client.get(pathOf(call, '/sync-status')))?.lastRun)?.id;
    const queued = await call.client.send('POST', pathOf(call, '/sync'));
    if (call.flag('wait')) await follow(call, before);
    else showItem(call, queued);
  });
  calling(
    integrations
      .command('log <id>')
      .description('list syncs and the devices that they changed, newest first')
      .option('--limit <n>', 'maximum number of rows', positive, '20')
      .option('--device <id>', 'changes of this device')
      .option('--runs', 'syncs without their devices'),
    io,
    async (call) => {
      const query = { device: call.text('device'), kind: call.flag('runs') ? 'runs' : undefined };
      showTable(call, LOG_COLUMNS, await call.client.list(pathOf(call, '/sync-log'), query, call.limit()));
    },
  );
}

/** @throws Problem `integration_…` of a sync that failed */
async function follow(call: Call, before: unknown): Promise<void> {
  let shown = '';
  for (;;) {
    const status = asItem(await call.client.get(pathOf(call, '/sync-status'))) ?? {};
    const [running, last] = [asItem(status.running), asItem(status.lastRun)];
    const line = running === undefined ? 'queued' : `running  ${countsOf(running)}`;
    const isOver = running === undefined && last !== undefined && last.id !== before;
    if (line !== shown && !isOver && !call.json) call.io.out(`${renderOptionsOf(call.io).now.toISOString()}  ${line}\n`);
    shown = line;
    if (isOver) return end(call, last);
    if (typeof status.blockedReason === 'string') throw new Problem('integration_blocked', status.blockedReason);
    await pause(ASK_MS, call.io.signal);
    if (call.io.signal?.aborted) return;
  }
}

function end(call: Call, run: Item): void {
  const error = asItem(run.error);
  if (call.json) call.io.out(`${JSON.stringify(run, null, 2)}\n`);
  else call.io.out(`${plain(String(run.status))}  ${countsOf(run)}  in ${Number(run.durationMs ?? 0)} ms\n`);
  if (error !== undefined) throw new Problem({ received: String(error.code) }, String(error.detail));
}

function registerConflicts(integrations: Command, io: Terminal): void {
  calling(
    integrations
      .command('conflicts [id]')
      .description('list fields that both sides changed')
      .option('--all', 'also those that are resolved')
      .option('--device <id>')
      .option('--limit <n>', 'maximum number of rows', positive, '50'),
    io,
    async (call) => {
      const query = { state: call.flag('all') ? undefined : 'open', device: call.text('device'), integration: call.args[0] };
      showTable(call, CONFLICT_COLUMNS, await call.client.list('/conflicts', query, call.limit()));
    },
  );
  const resolve = integrations
    .command('resolve <conflict...>')
    .description('decide conflicts: both sides get the local value, the remote one, or the given one')
    .option('--local')
    .option('--remote')
    .option('--value <json>', 'JSON, or a plain text');
  calling(resolve, io, async (call) => {
    const value = call.text('value');
    const choices = [call.flag('local') ? 'local' : [], call.flag('remote') ? 'remote' : [], value === undefined ? [] : 'value'].flat();
    if (choices.length !== 1) throw new Problem('usage', 'Cannot resolve without one of --local, --remote and --value');
    const [choice] = choices;
    const ids = call.args.flat();
    showItem(
      call,
      await call.client.send('POST', '/conflicts:resolve', { ids, choice, ...(value === undefined ? {} : { value: jsonOrText(value) }) }),
    );
  });
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function countsOf(run: Item): string {
  const counts = Object.entries(asItem(run.counts) ?? {}).filter(([, count]) => Number(count) > 0);
  return counts.map(([name, count]) => `${name} ${Number(count)}`).join(', ') || 'nothing changed';
}

function abilitiesOf(item: Item): string {
  const abilities = Object.entries(asItem(item.abilities) ?? {}).filter(([, can]) => can !== false);
  return abilities.map(([name, can]) => (can === true ? name : `${name} (${String(can)})`)).join(', ');
}

function detailsOf(item: Item): string {
  const error = asItem(item.error);
  if (error !== undefined) return String(error.detail);
  const details = Object.entries(asItem(item.details) ?? {}).filter(([, value]) => value !== 0);
  return details.map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(', ') || '-';
}
