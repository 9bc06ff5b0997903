import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { inflateSync } from 'node:zlib';
import { io, type Socket } from 'socket.io-client';
import { connect } from '../../src/db/connect.ts';
import { run } from '../cli/server.ts';
import type { Operation } from '../fuzz/description.ts';
import { clientOf } from '../support/actors.ts';
import { idsIn } from '../support/collections.ts';
import type { Plants } from './plants.ts';

/** Names of the secrets by the place where they stand. */
export type Findings = Record<string, string[]>;

/** Answers to every GET operation with this token, each with every id that there is. */
export async function readAll(
  url: string,
  operations: readonly Operation[],
  caller: { name: string; headers: Record<string, string>; adminToken: string },
  plants: Plants,
): Promise<{ found: Findings; read: number }> {
  const admin = clientOf(url, caller.adminToken);
  const found: Findings = {};
  let read = 0;
  for (const operation of operations) {
    for (const path of await pathsOf(operation.path, (list) => admin('GET', list))) {
      for (const query of QUERIES[operation.path] ?? ['']) {
        const response = await fetch(url + path + query, { headers: caller.headers });
        const text = `${JSON.stringify([...response.headers])}\n${Buffer.from(await response.arrayBuffer()).toString('latin1')}`;
        if (response.ok) read += 1;
        note(found, `${caller.name} ${operation.name}${query}`, plants.foundIn(text));
      }
    }
  }
  return { found, read };
}

const QUERIES: Readonly<Record<string, readonly string[]>> = {
  '/api/v1/devices/{id}/preview': ['', '?ref=main', '?ref=next'],
  '/api/devices/{id}/preview': ['', '?ref=next'],
  '/api/v1/audit/export': ['?format=jsonl', '?format=csv'],
};

async function pathsOf(template: string, get: (path: string) => Promise<Record<string, unknown>>): Promise<string[]> {
  let paths = [''];
  for (const segment of template.split('/').slice(1)) {
    const name = /^\{(\w+)\}$/.exec(segment)?.[1];
    if (name === undefined) paths = paths.map((path) => `${path}/${segment}`);
    else {
      const filled = await Promise.all(
        paths.map(async (path) => (await idsIn(get, path, name)).map((id) => `${path}/${encodeURIComponent(id)}`)),
      );
      paths = filled.flat();
    }
  }
  return paths;
}

/** What the live connection tells to one who listens to everything. */
export async function listen(url: string, token: string, topics: readonly string[]): Promise<{ text(): string; close(): void }> {
  const seen: unknown[] = [];
  const socket: Socket = io(`${url}/live`, { transports: ['websocket'], reconnection: false, forceNew: true, auth: { token } });
  socket.onAny((...message: unknown[]) => seen.push(message));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('connect_error', reject);
  });
  seen.push(await socket.timeout(10_000).emitWithAck('subscribe', { topics }));
  return { text: () => JSON.stringify(seen), close: () => void socket.disconnect() };
}

/** What the commands that only show something print. */
export async function commandLine(url: string, token: string, commands: readonly string[][], plants: Plants): Promise<Findings> {
  const found: Findings = {};
  for (const args of commands) {
    for (const form of [[], ['--json']]) {
      const { out, err } = await run([...args, ...form], { BELLWETHER_SERVER: url, BELLWETHER_TOKEN: token });
      note(found, `bellwether ${args.join(' ')}`, plants.foundIn(out + err));
    }
  }
  return found;
}

/** Every column of every table, the queue's as well. */
export async function database(url: string, plants: Plants): Promise<Findings> {
  const sql = connect(url, { max: 1 });
  const found: Findings = {};
  const columns = await sql<{ schema: string; table: string; column: string; type: string }[]>`
    select table_schema as schema, table_name as table, column_name as column, data_type as type from information_schema.columns
    where table_schema not in ('pg_catalog', 'information_schema') order by 1, 2, 3`;
  for (const { schema, table, column, type } of columns) {
    const value = type === 'bytea' ? sql`encode(${sql(column)}, 'escape')` : sql`${sql(column)}::text`;
    const [row] = await sql<[{ text: string | null }]>`select string_agg(${value}, chr(10)) as text from ${sql(schema)}.${sql(table)}`;
    note(found, `${schema}.${table}.${column}`, plants.foundIn(row.text ?? ''));
  }
  await sql.end({ timeout: 1 });
  return found;
}

/** Every file below a folder, also as Git's objects hold their bytes. By the first name of its path. */
export async function files(folder: string, plants: Plants): Promise<Findings> {
  const found: Findings = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    const [top = ''] = relative(folder, path).split('/');
    note(found, top, plants.foundIn(Buffer.concat([bytes, inflated(bytes)])));
  }
  return found;
}

function inflated(bytes: Buffer): Buffer {
  try {
    return inflateSync(bytes);
  } catch {
    return Buffer.alloc(0);
  }
}

function note(found: Findings, place: string, names: readonly string[]): void {
  if (names.length > 0) found[place] = [...new Set([...(found[place] ?? []), ...names])].sort();
}
