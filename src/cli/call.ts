import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { isProblem, messageOf, Problem } from '../errors.ts';
import { type Proxies, readProxies } from '../wire/proxies.ts';
import { tokenText, withoutLineEnd } from '../wire/text/secret-text.ts';
import { type ApiClient, createClient, type Item } from './client.ts';
import { type Column, plain, type RenderOptions, renderItem, renderTable } from './table.ts';

/** The environment, streams and settings of a command's terminal. */
export type Terminal = {
  out(text: string): void;
  err(text: string): void;
  env: Record<string, string | undefined>;
  /** Ends the program; default `process.exit`. */
  exit?: (code: number) => never;
  /** Ends commands that would run for ever (`--follow`, `--watch`). */
  signal?: AbortSignal;
  /** Characters in a line; undefined for a pipe. */
  columns?: number;
  now?: () => Date;
};

/** One run of a command: its arguments, and a client of the API. */
export type Call = {
  client: ApiClient;
  server: string;
  token: string;
  /** The option, variable or file that holds the token. */
  tokenFrom: string;
  /** Proxies from the environment. */
  proxies: Proxies;
  io: Terminal;
  json: boolean;
  watch: boolean;
  /** The positional argument, encoded as one segment of a path. */
  segment(index: number): string;
  args: readonly string[];
  /** undefined without the option. */
  text(option: string): string | undefined;
  flag(option: string): boolean;
  limit(): number;
};

const DEFAULT_SERVER = 'http://127.0.0.1:8080';

/** The token of a command without `--token`. */
export type Credential = { help: string; missing: string; find(env: Terminal['env']): FoundToken | undefined };

/** `from`: the token's origin, for errors. */
export type FoundToken = { token: string; from: string };

const API_TOKEN: Credential = {
  help: 'API token (BELLWETHER_TOKEN)',
  missing: 'give an API token with --token or in BELLWETHER_TOKEN',
  find: ({ BELLWETHER_TOKEN: token }) => (token ? { token, from: 'BELLWETHER_TOKEN' } : undefined),
};

/** Adds the common options and the action to `command`. A problem goes to stderr and exits with 1, wrong usage with 2. */
export function calling(command: Command, io: Terminal, run: (call: Call) => Promise<void>, credential: Credential = API_TOKEN): Command {
  return command
    .option('--server <url>', `address of the service (BELLWETHER_SERVER; default ${DEFAULT_SERVER})`)
    .option('--token <token>', credential.help)
    .option('--json', 'print JSON instead of a table')
    .action(async () => {
      let call: Call | undefined;
      try {
        call = callOf(command, io, credential);
        await run(call);
      } catch (error) {
        if (io.signal?.aborted) return;
        printError(io, error);
        if (call !== undefined && isProblem(error, 'unauthorized'))
          io.err(`  ${call.server} refused the token from ${plain(call.tokenFrom)}\n`);
        exit(io, isProblem(error, 'usage') ? 2 : 1);
      }
    });
}

/** Makes commander itself write to `io`, and exit with 2 after wrong usage. Later subcommands inherit this. */
export function withTerminal(command: Command, io: Terminal): Command {
  return command
    .configureOutput({ writeOut: (text) => io.out(text), writeErr: (text) => io.err(text) })
    .exitOverride((error) => exit(io, error.exitCode === 0 ? 0 : 2));
}

/** `--limit`; at least 1. */
export function positive(text: string): string {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('must be a whole number, at least 1');
  return text;
}

/** Repeatable `--label key=value`. */
export function collectLabel(text: string, before: string[] | undefined): string[] {
  if (!/^[^=]+=/.test(text)) throw new InvalidArgumentError('must be key=value');
  return [...(before ?? []), text];
}

export function labelsOf(call: Call): Record<string, string> | undefined {
  const given = call.text('label');
  if (given === undefined) return undefined;
  return Object.fromEntries(given.split('\n').map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]));
}

export function renderOptionsOf(io: Terminal): RenderOptions {
  return { width: io.columns, now: io.now?.() ?? new Date() };
}

export function showTable({ io, json }: Call, columns: readonly Column[], items: readonly Item[]): void {
  io.out(json ? `${JSON.stringify(items, null, 2)}\n` : renderTable(columns, items, renderOptionsOf(io)));
}

/** Prints a document, or `fallback` for an empty answer. */
export function showItem({ io, json }: Call, answer: unknown, fallback = 'done'): void {
  const item = asItem(answer);
  if (json) io.out(`${JSON.stringify(answer ?? {}, null, 2)}\n`);
  else io.out(item === undefined || Object.keys(item).length === 0 ? `${fallback}\n` : renderItem(item, renderOptionsOf(io)));
}

const AnyItem = z.record(z.string(), z.unknown());

export function asItem(value: unknown): Item | undefined {
  return AnyItem.safeParse(value).data;
}

/** The rows of an answer, which is a list or has one as `items`. */
export function rowsOf(answer: unknown): Item[] {
  const rows: unknown = Array.isArray(answer) ? answer : asItem(answer)?.items;
  return z.array(AnyItem).safeParse(rows).data ?? [];
}

function callOf(command: Command, io: Terminal, credential: Credential): Call {
  const options = command.opts<Record<string, unknown>>();
  const text = (name: string): string | undefined => {
    const value = options[name];
    if (Array.isArray(value)) return value.join('\n');
    return typeof value === 'string' ? value : undefined;
  };
  const server = text('server') ?? (io.env.BELLWETHER_SERVER || DEFAULT_SERVER);
  const proxies = proxiesOf(io.env);
  const typed = text('token');
  const found = typed === undefined ? credential.find(io.env) : { token: typed, from: '--token' };
  const token = tokenOf(found?.token ?? '', credential);
  return {
    client: createClient({ server, token, proxies, signal: io.signal }),
    server,
    token,
    tokenFrom: found?.from ?? '',
    proxies,
    io,
    json: options.json === true,
    watch: options.watch === true,
    args: command.args,
    segment: (index) => segmentOf(command.args[index] ?? ''),
    text,
    flag: (name) => options[name] === true,
    limit: () => Number(text('limit') ?? Number.MAX_SAFE_INTEGER),
  };
}

function proxiesOf(env: Terminal['env']): Proxies {
  try {
    return readProxies(env);
  } catch (cause) {
    throw new Problem('usage', messageOf(cause), { cause });
  }
}

/** @throws Problem `usage` that does not quote the token */
function tokenOf(text: string, { missing }: Credential): string {
  if (withoutLineEnd(text) === '') throw new Problem('usage', `Cannot authenticate: ${missing}`);
  const { data: token, error } = ApiToken.safeParse(text);
  if (token === undefined) throw new Problem('usage', `Cannot authenticate: the API token ${error?.issues[0]?.message ?? 'is not valid'}`);
  return token;
}

const ApiToken = tokenText({ min: 1, max: 4000 });

/** An argument as one segment of a path. It refuses `..`, which would change the URL's path even when encoded. */
export function segmentOf(text: string): string {
  if (text === '' || text === '.' || text === '..') throw new Problem('usage', `Cannot use "${text}" as an id`);
  return encodeURIComponent(text);
}

function printError(io: Terminal, error: unknown): void {
  io.err(`${plain(messageOf(error))}\n`);
  if (!(error instanceof Problem)) return;
  for (const { pointer, detail } of error.errors ?? []) io.err(`  ${plain(pointer) || '/'}: ${plain(detail)}\n`);
}

function exit(io: Terminal, code: number): never {
  return (io.exit ?? process.exit)(code);
}
