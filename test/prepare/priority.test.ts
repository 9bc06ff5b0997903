import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepareRevision } from '../../src/prepare/prepare.ts';
import { openPreparer, type Preparer } from '../../src/prepare/preparer.ts';
import { type Files, MemorySource } from '../revision/memory-source.ts';
import { until } from '../support/actors.ts';
import { openGitHost, type TestGitHost } from '../support/git-host.ts';
import { commitFleet, FLEET, hostileRepository, taskOf } from '../support/hostile.ts';

const MANIFEST = 'apiVersion: bellwether/v1\nkind: DeviceConfig\nvalidate:\n  - { files: app.json, schema: s.json }\n';
const OWNER = { organizationId: 'org', id: 'source' };

/** A look-ahead keeps the pattern from an engine of linear time. */
function folder(name: string): Record<string, string> {
  return {
    'app.json': JSON.stringify({ name }),
    's.json': JSON.stringify({ properties: { name: { pattern: '^(?=a)(a+)+$' } } }),
    'bellwether.yaml': MANIFEST,
  };
}
const WILD = folder(`${'a'.repeat(60)}!`);
const HONEST = folder('aaa');

describe('prepareRevision() says', () => {
  const source = new MemorySource();
  const slowOf = async (folders: Record<string, Record<string, string>>): Promise<number> => {
    const files: Files = { 'fleet.yaml': FLEET };
    for (const [name, content] of Object.entries(folders))
      for (const [file, text] of Object.entries(content)) files[`devices/${name}/${file}`] = text;
    let slow = 0;
    const onSlow = () => {
      slow += 1;
    };
    await prepareRevision(source, { commit: source.commit(files), layout: 'fleet', previous: null, limitMs: 3_000, watch: { onSlow } });
    return slow;
  };

  test('once that a commit turns out to be slow, however many of its folders are', async () => {
    expect(await slowOf({ a: WILD, b: WILD, c: WILD })).toBe(1);
  });

  test('nothing of commits whose patterns match quickly', async () => {
    expect(await slowOf({ a: HONEST, b: HONEST })).toBe(0);
  });
});

/** Of the threads of this process: the 19th field of each stat file, proc(5). The name before the third may contain blanks. */
async function loweredThreads(): Promise<number> {
  const threads = await readdir('/proc/self/task');
  const stats = await Promise.all(threads.map((thread) => readFile(`/proc/self/task/${thread}/stat`, 'utf8').catch(() => '')));
  const priorities = stats.filter((text) => text !== '').map((text) => Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[16]));
  return priorities.filter((priority) => priority > getPriority()).length;
}

describe.runIf(process.platform === 'linux')('a thread that prepares commits', () => {
  let host: TestGitHost;
  let dir: string;
  let preparer: Preparer;
  beforeAll(async () => {
    host = await openGitHost();
    dir = await mkdtemp(join(tmpdir(), 'priority-'));
    preparer = openPreparer(1, 0);
  });
  afterAll(async () => {
    await preparer.close();
    await host.close();
    await rm(dir, { recursive: true, force: true });
  });

  const prepare = async (name: string, content: Record<string, string>) => {
    const fleet = await hostileRepository(host, name);
    const commit = await commitFleet(fleet, { till: await fleet.tree(content) });
    return preparer.prepare(OWNER, await taskOf(fleet.url, commit, join(dir, name)));
  };

  test('goes on with a low priority once its commit is slow, and has the usual one again for the next', async () => {
    const before = await loweredThreads();
    const slow = prepare('wild', WILD);
    await until('a thread has a low priority', async () => (await loweredThreads()) > before);
    const { prepared, slowMs } = await slow;
    expect(prepared.paths.map(({ errors }) => errors[0]?.rule)).toEqual(['maxValidationMs']);
    expect(slowMs).toBeGreaterThan(1_000);
    const next = await prepare('honest', HONEST);
    expect(next.prepared.paths.map(({ verdict }) => verdict)).toEqual(['valid']);
    expect(next.slowMs).toBe(0);
    await until('no thread has a low priority', async () => (await loweredThreads()) === before);
  });
});
