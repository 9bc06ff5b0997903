import { lstat, mkdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AgentServer, makeBundle, startAgentServer } from '../support/agent-server.ts';
import { createDevice, type Device, readTree } from './device.ts';

/** Foreign entries in the place of the agent's own files: the agent repairs its root, deletes nothing foreign, and applies the next bundle. */

let server: AgentServer;
let device: Device;

beforeEach(async () => {
  server = await startAgentServer();
  device = await createDevice(server.url);
});

afterEach(async () => {
  await device[Symbol.asyncDispose]();
  await server.close();
});

async function install(files: Record<string, string>, deploymentId: string) {
  const bundle = await makeBundle(files);
  await server.deploy(bundle, deploymentId);
  const agent = device.start();
  await server.until(`${deploymentId} succeeded`, () => server.deploymentReport(deploymentId, 'succeeded'));
  return { agent, bundle };
}

const logLines = () => server.reports().flatMap((report) => (report.kind === 'log' ? [report.message] : []));
const setAside = async (name: string, folder = '.') =>
  (await device.list(folder)).filter((entry) => entry.startsWith(`${name}.set-aside-`));

async function linkTo(target: string): Promise<null> {
  await symlink(target, device.path('current'));
  return null;
}

/** Entries in the place of `current`, each with a file that must survive. */
const OBSTACLES: [what: string, put: () => Promise<string | null>][] = [
  [
    'a folder with files',
    async () => {
      await mkdir(device.path('current', 'deep'), { recursive: true });
      await writeFile(device.path('current', 'deep', 'mine'), 'mine');
      return 'deep/mine';
    },
  ],
  [
    'a file',
    async () => {
      await writeFile(device.path('current'), 'mine');
      return '';
    },
  ],
  ['a link elsewhere', () => linkTo('/etc')],
  ['a link that leads nowhere', () => linkTo('/nowhere/at-all')],
  [
    'a link to a folder of the same name elsewhere',
    async () => {
      const digest = (await device.list('releases'))[0] ?? '';
      await mkdir(device.path('copy', digest), { recursive: true });
      return linkTo(`copy/${digest}`);
    },
  ],
];

describe.each(OBSTACLES)('%s in the place of current', (_what, put) => {
  test.each(['while the agent runs', 'before it starts'])('is set aside, %s, and the next bundle is applied', async (when) => {
    const { agent } = await install({ a: 'one' }, 'd1');
    if (when === 'before it starts') await agent.stop();
    await rm(device.path('current'));
    const mine = await put();
    if (when === 'before it starts') device.start();
    const second = await makeBundle({ a: 'two' });
    await server.deploy(second, 'd2');
    await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
    expect(await device.current()).toEqual({ a: '644 two' });
    expect(await readlink(device.path('current'))).toBe(`releases/${second.digest}`);
    const [aside = ''] = await setAside('current');
    expect(aside).not.toBe('');
    if (mine !== null) expect(await readFile(device.path(...[aside, mine].filter(Boolean)), 'utf8')).toBe('mine');
    await server.until('the server knows', () => logLines().some((line) => line.includes(aside)));
  });
});

test('a current whose release was removed does not block the next bundle, and a failure of that one restores the old files', async () => {
  await device.hook('check', '! grep -q bad a');
  const { bundle } = await install({ a: 'one' }, 'd1');
  await rm(device.path('releases', bundle.digest), { recursive: true });
  await server.deploy(await makeBundle({ a: 'bad' }, { health: { hook: 'check' } }), 'd2');
  await server.until('d2 rolled back', () => server.deploymentReport('d2', 'rolled_back'));
  expect(await device.current()).toEqual({ a: '644 one' });
  await server.deploy(await makeBundle({ a: 'three' }), 'd3');
  await server.until('d3 succeeded', () => server.deploymentReport('d3', 'succeeded'));
  expect(await device.current()).toEqual({ a: '644 three' });
});

test.each(['staging', 'backups', 'bundles', 'drifted', 'releases'])(
  'the agent creates %s again after its removal, or in place of a file',
  async (name) => {
    const { agent } = await install({ a: 'one' }, 'd1');
    await rm(device.path(name), { recursive: true });
    await server.deploy(await makeBundle({ a: 'two' }), 'd2');
    await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
    await agent.stop();
    await rename(device.path(name), device.path('elsewhere'));
    await writeFile(device.path(name), 'mine');
    device.start();
    await server.deploy(await makeBundle({ a: 'three' }), 'd3');
    await server.until('d3 succeeded', () => server.deploymentReport('d3', 'succeeded'));
    expect(await device.current()).toEqual({ a: '644 three' });
    const [aside = ''] = await setAside(name);
    expect(await readFile(device.path(aside), 'utf8')).toBe('mine');
  },
);

test('the agent uses a folder that is a link to another place', async () => {
  await mkdir(device.path('big-disk'));
  await symlink('big-disk', device.path('staging'));
  await install({ a: 'one' }, 'd1');
  expect((await lstat(device.path('staging'))).isSymbolicLink()).toBe(true);
  expect(await setAside('staging')).toEqual([]);
});

test('foreign files in releases and staging stay', async () => {
  await install({ a: 'one' }, 'd1');
  await mkdir(device.path('releases', 'mine'));
  await writeFile(device.path('staging', 'mine.txt'), 'mine');
  await server.deploy(await makeBundle({ a: 'two' }), 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  await server.deploy(await makeBundle({ a: 'three' }), 'd3');
  await server.until('d3 succeeded', () => server.deploymentReport('d3', 'succeeded'));
  expect(await device.list('releases')).toContain('mine');
  expect(await device.list('staging')).toEqual(['mine.txt']);
});

test.each<[string, () => Promise<void>]>([
  ['damaged', () => writeFile(device.path('state.json'), '{"sequence":')],
  ['removed', () => rm(device.path('state.json'))],
  [
    'a folder',
    async () => {
      await rm(device.path('state.json'));
      await mkdir(device.path('state.json'));
    },
  ],
])('a state file that is %s does not stop the agent, which can still roll back', async (what, damage) => {
  await device.hook('check', '! grep -q bad a');
  const { agent, bundle } = await install({ a: 'one' }, 'd1');
  await agent.stop();
  await damage();
  device.start();
  await server.deploy(await makeBundle({ a: 'bad' }, { health: { hook: 'check' } }), 'd2');
  const report = await server.until('d2 rolled back', () => server.deploymentReport('d2', 'rolled_back'));
  expect(report.runningDigest).toBe(bundle.digest);
  expect(await device.current()).toEqual({ a: '644 one' });
  expect(await setAside('state.json')).toHaveLength(what === 'removed' ? 0 : 1);
});

test('the agent sets folders in the place of the outbox, the identity and half-written files aside', async () => {
  const { agent } = await install({ a: 'one' }, 'd1');
  await agent.stop();
  for (const name of ['outbox.jsonl', 'identity.json', 'agent.lock']) await rm(device.path(name));
  for (const name of ['outbox.jsonl', 'identity.json', 'agent.lock', 'state.json.tmp', 'current.tmp']) {
    await mkdir(device.path(name));
    await writeFile(device.path(name, 'mine'), 'mine');
  }
  device.start();
  await server.deploy(await makeBundle({ a: 'two' }), 'd2');
  await server.until('d2 succeeded', () => server.deploymentReport('d2', 'succeeded'));
  for (const name of ['outbox.jsonl', 'identity.json', 'agent.lock', 'state.json.tmp', 'current.tmp']) {
    const [aside = ''] = await setAside(name);
    expect(await readTree(device.path(aside))).toEqual({ mine: '644 mine' });
  }
});

test('the agent empties and locks a lock file with foreign content', async () => {
  await writeFile(device.path('agent.lock'), 'something else, longer than a header of a database'.repeat(10));
  await install({ a: 'one' }, 'd1');
  expect((await lstat(device.path('agent.lock'))).size).toBe(0);
});
