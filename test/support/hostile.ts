import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { deflateSync } from 'node:zlib';
import { addressGuard } from '../../src/git/http/address-guard.ts';
import { DEFAULT_LIMITS } from '../../src/git/limits.ts';
import { download } from '../../src/git/mirror/download.ts';
import { parseRemote } from '../../src/git/remote.ts';
import type { PrepareTask } from '../../src/prepare/worker.ts';
import { git, type TestGitHost } from './git-host.ts';

/** An entry, which may be hostile. Text and bytes are the blob of an ordinary file; a string oid names an existing object. */
export type Entry = { name: string | Buffer; mode?: string; oid: string };
export type Tree = { [name: string]: string | Buffer | Tree };

export type HostileRepository = {
  name: string;
  url: string;
  /** Writes any object unchanged, also those that Git's own commands would refuse. @returns its id */
  write(type: 'blob' | 'tree' | 'commit', bytes: Buffer | string): Promise<string>;
  /** Entries in the order given. */
  entries(entries: Entry[]): Promise<string>;
  /** Ordinary files and folders. */
  tree(files: Tree): Promise<string>;
  /** A commit of a tree, and a branch that points to it. */
  commit(treeOid: string, branch?: string): Promise<string>;
};

export const FLEET = 'apiVersion: bellwether/v1\nkind: Fleet\ndevices: "devices/*"\n';

/** A repository on the host whose objects the test writes itself, as loose ones. */
export async function hostileRepository(host: TestGitHost, name: string): Promise<HostileRepository> {
  const url = await host.createRepository(name);
  const path = host.pathOf(name);
  const write: HostileRepository['write'] = async (type, content) => {
    const object = Buffer.concat([Buffer.from(`${type} ${Buffer.byteLength(content)}\0`), Buffer.from(content)]);
    const oid = createHash('sha1').update(object).digest('hex');
    const folder = join(path, 'objects', oid.slice(0, 2));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, oid.slice(2)), deflateSync(object, { level: 1 }));
    return oid;
  };
  const entries = (list: Entry[]): Promise<string> =>
    write(
      'tree',
      Buffer.concat(
        list.flatMap((entry) => [
          Buffer.from(`${entry.mode ?? '100644'} `),
          Buffer.from(entry.name),
          Buffer.from([0]),
          Buffer.from(entry.oid, 'hex'),
        ]),
      ),
    );
  const tree = async (files: Tree): Promise<string> => {
    const list: Entry[] = [];
    for (const [name, content] of Object.entries(files)) {
      if (typeof content === 'string' || Buffer.isBuffer(content)) list.push({ name, oid: await write('blob', content) });
      else list.push({ name, mode: '40000', oid: await tree(content) });
    }
    return entries(list.sort((a, b) => Buffer.compare(sortKey(a), sortKey(b))));
  };
  const commit = async (treeOid: string, branch = 'main'): Promise<string> => {
    const person = 'Mallory <mallory@example.com> 1767225600 +0000';
    const oid = await write('commit', `tree ${treeOid}\nauthor ${person}\ncommitter ${person}\n\nhostile\n`);
    await git(path, ['update-ref', `refs/heads/${branch}`, oid]);
    return oid;
  };
  return { name, url, write, entries, tree, commit };
}

/** A commit of a fleet whose device folders are these trees. */
export async function commitFleet(repository: HostileRepository, folders: Record<string, string>, fleet = FLEET): Promise<string> {
  const devices = await repository.entries(Object.entries(folders).map(([name, oid]) => ({ name, mode: '40000', oid })));
  const manifest = await repository.write('blob', fleet);
  return repository.commit(
    await repository.entries([
      { name: 'devices', mode: '40000', oid: devices },
      { name: 'fleet.yaml', oid: manifest },
    ]),
  );
}

/** Downloads the commit as the service does, for the task that prepares it. */
export async function taskOf(url: string, commit: string, mirrorDir: string, changes: Partial<PrepareTask> = {}): Promise<PrepareTask> {
  const layout = changes.layout ?? 'fleet';
  const remote = parseRemote(url, { allowHttp: true, allowLocal: false });
  const path = await download(mirrorDir, remote, {
    oid: commit,
    ref: 'main',
    limits: DEFAULT_LIMITS,
    guard: addressGuard({ allowPrivate: true }),
    deadlineMs: 120_000,
    keep: layout === 'fleet' ? 'mirror' : 'once',
  });
  return { path, ref: 'main', commit, layout, previous: null, deadlineMs: 120_000, ...changes };
}

export type Measured = { code: string; message: string; errors: string[]; verdicts: Record<string, string>; rssBytes: number };

/** Prepares in a separate process, as a worker does. `rssBytes` is the process's peak memory. */
export async function measurePrepare(task: PrepareTask): Promise<Measured> {
  const worker = fileURLToPath(new URL('../../src/prepare/worker.ts', import.meta.url));
  const program = `
    import { readFileSync } from 'node:fs';
    // A process inherits the kernel's maxRSS from its parent; VmHWM starts with the program.
    const peakBytes = () => process.platform === 'linux'
      ? Number(/VmHWM:\\s+(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
      : process.resourceUsage().maxRSS * 1024;
    const { prepare } = await import(${JSON.stringify(worker)});
    const result = await prepare(JSON.parse(process.argv[1]));
    const { failed, prepared } = result;
    const verdicts = Object.fromEntries((prepared?.paths ?? []).map(({ path, verdict, errors }) => [path, errors[0]?.code ?? verdict]));
    const errors = (prepared?.errors ?? []).map(({ message }) => message);
    const rssBytes = peakBytes();
    console.log(JSON.stringify({ code: failed?.code ?? 'prepared', message: failed?.message ?? '', errors, verdicts, rssBytes }));
    process.exit(0);`;
  const args = ['--input-type=module', '--eval', program, JSON.stringify(task)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 200_000 });
  return JSON.parse(stdout);
}

export type PackPart = Buffer;

/** An object of a pack. `size` may lie. */
export function packObject(kind: 'commit' | 'tree' | 'blob', bytes: Buffer, size = bytes.length): PackPart {
  return Buffer.concat([header({ commit: 1, tree: 2, blob: 3 }[kind], size), deflateSync(bytes, { level: 1 })]);
}

export function refDelta(baseOid: string, delta: Buffer): PackPart {
  return Buffer.concat([header(7, delta.length), Buffer.from(baseOid, 'hex'), deflateSync(delta, { level: 1 })]);
}

/** Instructions that copy the base's first bytes repeatedly, so that a few bytes expand to very many. */
export function copyDelta(baseSize: number, copies: number): Buffer {
  const instructions = Array.from({ length: copies }, () => Buffer.from([0b1111_0000, 0xff, 0xff, 0x00]));
  return Buffer.concat([varint(baseSize), varint(copies * 0xffff), ...instructions]);
}

/** Instructions that insert `bytes`. */
export function insertDelta(baseSize: number, bytes: Buffer): Buffer {
  const parts: Buffer[] = [varint(baseSize), varint(bytes.length)];
  for (let at = 0; at < bytes.length; at += 127) {
    const piece = bytes.subarray(at, at + 127);
    parts.push(Buffer.from([piece.length]), piece);
  }
  return Buffer.concat(parts);
}

/** @param count objects that the header declares; may lie */
export function packOf(parts: PackPart[], count = parts.length): Buffer {
  const head = Buffer.alloc(12);
  head.write('PACK');
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(count, 8);
  const body = Buffer.concat([head, ...parts]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

/** A host's answer to a fetch by protocol version 2: the pack on channel 1 of the side band. */
export function fetchAnswer(pack: Buffer): Buffer {
  const packets: Buffer[] = [Buffer.from('000dpackfile\n')];
  for (let at = 0; at < pack.length; at += 60_000) {
    const piece = pack.subarray(at, at + 60_000);
    packets.push(Buffer.from((piece.length + 5).toString(16).padStart(4, '0')), Buffer.from([1]), piece);
  }
  return Buffer.concat([...packets, Buffer.from('0000')]);
}

export function objectIdOf(kind: string, bytes: Buffer): string {
  return createHash('sha1').update(`${kind} ${bytes.length}\0`).update(bytes).digest('hex');
}

function sortKey({ name, mode }: Entry): Buffer {
  return Buffer.concat([Buffer.from(name), Buffer.from(mode === '40000' ? '/' : '')]);
}

function header(type: number, size: number): Buffer {
  const bytes: number[] = [];
  let rest = Math.floor(size / 16);
  bytes.push((type << 4) | (size & 15) | (rest ? 128 : 0));
  for (; rest; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | (rest > 127 ? 128 : 0));
  return Buffer.from(bytes);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}
