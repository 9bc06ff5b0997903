import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { Problem } from '../../errors.ts';
import { asItem, type Call, calling, positive, renderOptionsOf, rowsOf, showItem, showTable, type Terminal } from '../call.ts';
import { ago, type Column, field, renderItem, renderTable, short } from '../table.ts';
import { registerDeliveries } from './deliveries.ts';

const SOURCE_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'NAME', value: field('name') },
  { title: 'STATUS', value: field('status') },
  { title: 'REF', value: field('ref') },
  { title: 'HEAD', value: short('headCommit', 10) },
  { title: 'SYNCED', value: ago('lastSyncedAt') },
  { title: 'URL', value: field('url') },
];

const REVISION_COLUMNS: Column[] = [
  { title: 'ID', value: field('id') },
  { title: 'COMMIT', value: short('commit', 10) },
  { title: 'VERDICT', value: field('verdict') },
  { title: 'SIGNATURE', value: field('signature') },
  { title: 'CHANGED', value: field('pathsChanged') },
  { title: 'AUTHOR', value: field('author.name') },
  { title: 'WHEN', value: ago('committedAt') },
  { title: 'MESSAGE', value: field('message') },
];

const PATH_COLUMNS: Column[] = [
  { title: 'FOLDER', value: field('path') },
  { title: 'VERDICT', value: field('verdict') },
  { title: 'BUNDLE', value: short('bundle') },
];

const DELIVERY_COLUMNS: Column[] = [
  { title: 'ID', value: field('deliveryId') },
  { title: 'VERDICT', value: field('verdict') },
  { title: 'EVENT', value: field('event') },
  { title: 'REF', value: field('ref') },
  { title: 'COMMIT', value: short('commit', 10) },
  { title: 'RECEIVED', value: ago('receivedAt') },
  { title: 'DETAIL', value: field('detail') },
];

const MERGE_REQUEST_COLUMNS: Column[] = [
  { title: 'NUMBER', value: field('number') },
  { title: 'STATE', value: field('state') },
  { title: 'COMMIT', value: short('commit', 10) },
  { title: 'VERDICT', value: field('verdict') },
  { title: 'PLAN', value: field('headline') },
  { title: 'POSTED', value: field('posting') },
  { title: 'ERROR', value: field('lastError.detail') },
];

const pathOf = (call: Call, rest = ''): string => `/sources/${call.segment(0)}${rest}`;

export function registerSourceCommands(sources: Command, revisions: Command, io: Terminal): void {
  registerQueries(sources, io);
  registerChanges(sources, io);
  registerHooks(sources, io);
  calling(revisions.command('get <id>').description('show a commit and the verdict of each folder'), io, showRevision);
}

function registerQueries(sources: Command, io: Terminal): void {
  calling(
    sources.command('list', { isDefault: true }).description('list all sources').option('--limit <n>', 'maximum number of rows', positive),
    io,
    async (call) => {
      showTable(call, SOURCE_COLUMNS, await call.client.list('/sources', {}, call.limit()));
    },
  );
  calling(sources.command('get <id>').description('show the source'), io, async (call) =>
    showItem(call, await call.client.get(pathOf(call))),
  );
  calling(
    sources
      .command('revisions <id>')
      .description('list its commits, newest first')
      .option('--limit <n>', 'maximum number of rows', positive, '20'),
    io,
    async (call) => {
      showTable(call, REVISION_COLUMNS, await call.client.list(pathOf(call, '/revisions'), {}, call.limit()));
    },
  );
  calling(sources.command('test <id>').description('try the connection and the credentials'), io, async (call) => {
    const answer = await call.client.send('POST', pathOf(call, '/test'));
    showItem(call, answer);
    if (asItem(answer)?.ok === false) throw new Problem('source_test_failed', `Source "${call.args[0]}" cannot be read`);
  });
}

function registerChanges(sources: Command, io: Terminal): void {
  calling(
    settings(sources.command('create').description('create a source').requiredOption('--name <name>').requiredOption('--url <url>')),
    io,
    async (call) => {
      showItem(call, await call.client.send('POST', '/sources', { layout: 'repo', ...settingsOf(call) }));
    },
  );
  calling(
    settings(sources.command('update <id>').description('change the given settings').option('--name <name>').option('--url <url>')),
    io,
    async (call) => {
      showItem(call, await call.client.send('PATCH', pathOf(call), settingsOf(call)));
    },
  );
  calling(sources.command('delete <id>').description('delete the source; its devices keep their files'), io, async (call) => {
    showItem(call, await call.client.send('DELETE', pathOf(call)), 'deleted');
  });
  calling(
    sources.command('sync <id>').description('check for a newer commit now').option('--watch', 'wait until the check has ended'),
    io,
    async (call) => {
      const before = call.watch ? asItem(await call.client.get(pathOf(call)))?.lastCheckedAt : undefined;
      const answer = await call.client.send('POST', pathOf(call, '/sync'));
      if (call.watch) await followSync(call, before);
      else showItem(call, answer, 'queued');
    },
  );
}

function registerHooks(sources: Command, io: Terminal): void {
  calling(
    sources
      .command('webhook <id>')
      .description('install or repair the webhook at the Git host, and verify it by a test delivery; the token needs that permission'),
    io,
    async (call) => {
      const answer = await call.client.send('POST', pathOf(call, '/webhook'));
      showItem(call, answer);
      const { verified, detail } = asItem(answer) ?? {};
      if (verified === false)
        throw new Problem('webhook_not_verified', `The webhook of source "${call.args[0]}" is not proven to work: ${detail}`);
    },
  );
  calling(
    sources
      .command('merge-requests <id>')
      .description('list merge requests into its branch, with their plans and posting errors')
      .option('--limit <n>', 'maximum number of rows', positive, '20'),
    io,
    async (call) => showTable(call, MERGE_REQUEST_COLUMNS, await call.client.list(pathOf(call, '/merge-requests'), {}, call.limit())),
  );
  registerDeliveries(sources, io, {
    description: "list the Git host's deliveries, newest first",
    redeliver: 'check the source as if this delivery arrived again',
    columns: DELIVERY_COLUMNS,
    pathOf,
  });
}

/** Secrets are safer in the environment, because other users can read the arguments of a process. */
function settings(command: Command): Command {
  return command
    .option('--ref <ref>', 'branch, tag or commit')
    .option('--layout <layout>', 'repo: one device; fleet: a folder per device')
    .option('--poll-interval <seconds>', 'seconds between two checks', positive)
    .option('--drift-policy <policy>', 'heal or report')
    .option('--git-username <name>')
    .option('--git-password <password>', 'or in BELLWETHER_GIT_PASSWORD')
    .option('--git-token <token>', 'or in BELLWETHER_GIT_TOKEN')
    .option('--webhook-provider <name>', 'gitlab, github, …')
    .option('--webhook-secret <secret>', 'or in BELLWETHER_WEBHOOK_SECRET')
    .option('--forge <kind>', "the Git host's API: gitlab, github, gitea or forgejo; default: from the URL")
    .option('--forge-api-url <url>', 'address of that API, if it differs from the default')
    .option('--api-token <token>', 'token of that API, if the Git credentials do not fit; or in BELLWETHER_GIT_API_TOKEN');
}

function settingsOf(call: Call): Record<string, unknown> {
  const [name, url, ref, layout, driftPolicy] = ['name', 'url', 'ref', 'layout', 'driftPolicy'].map(call.text);
  const interval = call.text('pollInterval');
  const given = {
    name,
    url,
    ref,
    layout,
    driftPolicy,
    pollIntervalSeconds: interval === undefined ? undefined : Number(interval),
    auth: authOf(call),
    webhook: webhookOf(call),
    forge: forgeOf(call),
    apiToken: call.text('apiToken') ?? call.io.env.BELLWETHER_GIT_API_TOKEN,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function authOf(call: Call): unknown {
  const { env } = call.io;
  const username = call.text('gitUsername');
  const token = call.text('gitToken') ?? env.BELLWETHER_GIT_TOKEN;
  if (username === undefined) return token === undefined ? undefined : { token };
  const password = call.text('gitPassword') ?? env.BELLWETHER_GIT_PASSWORD;
  if (password === undefined) throw new Problem('usage', 'Cannot use --git-username alone: give the password in BELLWETHER_GIT_PASSWORD');
  return { username, password };
}

function webhookOf(call: Call): unknown {
  const provider = call.text('webhookProvider');
  if (provider === undefined) return undefined;
  const secret = call.text('webhookSecret') ?? call.io.env.BELLWETHER_WEBHOOK_SECRET;
  if (secret === undefined) throw new Problem('usage', 'Cannot use --webhook-provider alone: give the secret in BELLWETHER_WEBHOOK_SECRET');
  return { provider, secret };
}

function forgeOf(call: Call): unknown {
  const [kind, apiUrl] = ['forge', 'forgeApiUrl'].map(call.text);
  if (kind === undefined && apiUrl !== undefined)
    throw new Problem('usage', 'Cannot use --forge-api-url alone: name the kind with --forge');
  return kind === undefined ? undefined : { kind, ...(apiUrl === undefined ? {} : { apiUrl }) };
}

/** A check without a new commit emits no event. Only the source itself shows it, so the command polls the source. */
const SYNC_POLL_MS = 500;

async function followSync(call: Call, before: unknown): Promise<void> {
  for (;;) {
    const source = asItem(await call.client.get(pathOf(call)));
    if (source === undefined || source.lastCheckedAt === before) {
      await pause(SYNC_POLL_MS, undefined, { signal: call.io.signal });
      continue;
    }
    showItem(call, source);
    const failure = asItem(source.lastError);
    if (failure !== undefined) throw new Problem('sync_failed', String(failure.detail));
    return;
  }
}

async function showRevision(call: Call): Promise<void> {
  const answer = await call.client.get(`/revisions/${call.segment(0)}`);
  if (call.json) return showItem(call, answer);
  const { paths, errors, ...revision } = asItem(answer) ?? {};
  const options = renderOptionsOf(call.io);
  const folders = rowsOf(paths);
  call.io.out(renderItem(revision, options));
  if (folders.length > 0) call.io.out(`\n${renderTable(PATH_COLUMNS, folders, options)}`);
  const all = [...rowsOf(errors), ...folders.flatMap((folder) => rowsOf(folder.errors))];
  if (all.length > 0)
    call.io.out(`\n${renderTable([{ title: 'ERRORS', value: field('message') }], all, { ...options, width: undefined })}`);
}
