import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ROOT_TOKEN_FILE } from '../../organization/root-token.ts';
import { type Credential, calling, type FoundToken, positive, showItem, showTable, type Terminal } from '../call.ts';
import { ago, type Column, field } from '../table.ts';

const COLUMNS: Column[] = [
  { title: 'NAME', value: field('name') },
  { title: 'ID', value: field('id') },
  { title: 'CREATED', value: ago('createdAt') },
  { title: 'DISABLED', value: ago('disabledAt') },
];

const ROOT_TOKEN: Credential = {
  help: `root token (BELLWETHER_ROOT_TOKEN; default: the file ${ROOT_TOKEN_FILE} in DATA_DIR)`,
  missing: `give the root token with --token or in BELLWETHER_ROOT_TOKEN, or run this where DATA_DIR has the file ${ROOT_TOKEN_FILE}`,
  find: ({ BELLWETHER_ROOT_TOKEN: token, DATA_DIR }) => (token ? { token, from: 'BELLWETHER_ROOT_TOKEN' } : fileOf(DATA_DIR || './data')),
};

/** Creates and disables organizations. */
export function registerOrganizationCommands(organizations: Command, io: Terminal): void {
  const list = organizations
    .command('list', { isDefault: true })
    .description('list all organizations')
    .option('--limit <n>', 'maximum number of rows', positive);
  calling(list, io, async (call) => showTable(call, COLUMNS, await call.client.list('/organizations', {}, call.limit())), ROOT_TOKEN);
  const acting = (command: Command, path: (name: string) => string) =>
    calling(command, io, async (call) => showItem(call, await call.client.send('POST', path(call.segment(0)))), ROOT_TOKEN);
  const create = organizations.command('create <name>').description('create an organization; its first admin token is shown once');
  calling(create, io, async (call) => showItem(call, await call.client.send('POST', '/organizations', { name: call.args[0] })), ROOT_TOKEN);
  acting(
    organizations.command('admin-token <name>').description('create another admin token, shown once, if all others are lost'),
    (name) => `/organizations/${name}/admin-tokens`,
  );
  acting(
    organizations.command('disable <name>').description('refuse its tokens, devices and webhooks; no data is removed'),
    (name) => `/organizations/${name}/disable`,
  );
  acting(
    organizations.command('enable <name>').description('accept its tokens, devices and webhooks again'),
    (name) => `/organizations/${name}/enable`,
  );
}

/** The token in the data directory of a service on this machine; undefined when there is no readable one. */
function fileOf(dataDir: string): FoundToken | undefined {
  const path = resolve(dataDir, ROOT_TOKEN_FILE);
  try {
    return { token: readFileSync(path, 'utf8').trim(), from: `the file ${path}` };
  } catch {
    return undefined;
  }
}
