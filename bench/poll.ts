import { chmod, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { z } from 'zod';
import { createPoll } from '../controller/sweep/poll.ts';
import { type App, openApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import type { Sql } from '../src/db/connect.ts';
import { DELIMITER, FLUSH, packet } from '../src/git/protocol/pkt-line.ts';
import { newId } from '../src/ids.ts';
import { createLog } from '../src/log.ts';
import { git, openGitHost, type TestGitHost } from '../test/support/git-host.ts';
import { note, report, round } from './support/numbers.ts';
import { endedChildrenCpuSeconds, lineOf, startProgram } from './support/processes.ts';
import { TARGETS } from './support/targets.ts';

/** Concurrent requests: the service's default per git host. */
const AT_ONCE = 8;
const REPOSITORY = 'polled';
const READY_TIMEOUT_MS = 20_000;

/** `cpuSeconds`: processor time of the requesting process and its children. */
type Measured = { done: number; seconds: number; cpuSeconds: number };

/** Measures unchanged remotes per second that the poller checks, with `git ls-remote` and a bare request to the same server as baselines. */
export async function benchPoll(args: string[], signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      remotes: { type: 'string', default: '500' },
      rounds: { type: 'string', default: '10' },
      'ls-remotes': { type: 'string', default: '200' },
    },
  });
  const remotes = z.coerce.number().int().min(1).max(100_000).parse(values.remotes);
  const rounds = z.coerce.number().int().min(1).max(1_000).parse(values.rounds);
  const lsRemotes = z.coerce.number().int().min(1).max(100_000).parse(values['ls-remotes']);
  await using live = await openGitHost();
  await live.createRepository(REPOSITORY);
  const head = await live.commit(REPOSITORY, { 'app.json': '{}' });
  await using memory = startProgram('bench/support/programs/memory-host.ts', { args: [live.url, REPOSITORY] });
  const memoryUrl = await lineOf(memory, (line) => (line.startsWith('http://') ? line : undefined), READY_TIMEOUT_MS);
  await using opened = await openPoller();
  note(`${remotes} remotes, answered from memory`);
  const fromMemory = await measure(opened.app, { url: memoryUrl, head, remotes, rounds, lsRemotes }, signal);
  note(`${remotes} remotes behind git http-backend`);
  await serveLinks(live, remotes);
  const fromBackend = await measure(opened.app, { url: live.url, head, remotes, rounds: 1, lsRemotes }, signal);
  printResults(remotes, fromMemory, fromBackend);
}

type Target = { url: string; head: string; remotes: number; rounds: number; lsRemotes: number };
type Comparison = { polls: Measured; lsRemote: Measured; bare: Measured; found: number };

async function measure(app: App, target: Target, signal: AbortSignal): Promise<Comparison> {
  const { sql } = app.services.store;
  await replaceSources(sql, target);
  // Warm-up: the first round opens connections and finds the protocol of each remote.
  await pollRound(app, target.remotes, signal);
  const polls = await timed(async () => {
    for (let round = 0; round < target.rounds; round++) await pollRound(app, target.remotes, signal);
    return target.remotes * target.rounds;
  });
  const [row] = await sql<
    [{ found: number }]
  >`select count(*)::int as found from sources where status = 'ok' and failures = 0 and last_checked_at is not null`;
  const lsRemote = await timed(() =>
    inLanes(
      target.lsRemotes,
      (n) => git(tmpdir(), ['ls-remote', '--exit-code', `${target.url}/${nameOf(n % target.remotes)}.git`, 'refs/heads/main']),
      signal,
    ),
  );
  const bare = await bareRequests(target, signal);
  return { polls, lsRemote, bare, found: row.found };
}

/** Opens the service in this process without its controller, because the benchmark drives the poller itself. */
async function openPoller(): Promise<AsyncDisposable & { app: App }> {
  const opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'bellwether-bench-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  try {
    // As root the database runs under another account, which must be able to enter the folder.
    await chmod(folder, 0o711);
    const config = readConfig({
      PORT: '0',
      DATA_DIR: join(folder, 'data'),
      ALLOW_PRIVATE_GIT_HOSTS: 'true',
      BELLWETHER_ADMIN_TOKEN: newId(),
      LOG_LEVEL: 'error',
      GIT_HOST_CONCURRENCY: String(AT_ONCE),
    });
    const app = await openApp(config, createLog('error'), undefined);
    opened.defer(() => app.close());
    return { app, [Symbol.asyncDispose]: () => opened.disposeAsync() };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

function nameOf(n: number): string {
  return `remote-${n}`;
}

/** Inserts sources in their state after a first sync: healthy, with the remote's present commit. */
async function replaceSources(sql: Sql, { url, head, remotes }: Target): Promise<void> {
  const ids = Array.from({ length: remotes }, () => newId());
  const urls = ids.map((_, n) => `${url}/${nameOf(n)}.git`);
  await sql`delete from sources`;
  await sql`
    insert into sources (organization_id, id, name, url, ref, layout, poll_interval_seconds, rollout_policy, status, head_commit, next_check_at)
    select (select id from organizations limit 1), id, url, url, 'main', 'repo', 3600, '{}', 'ok', ${head}, now() + interval '1 day'
    from unnest(${ids}::uuid[], ${urls}::text[]) as new (id, url)`;
}

/** Makes every source due and lets the poller check it. */
async function pollRound(app: App, remotes: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { sql } = app.services.store;
  await sql`update sources set next_check_at = now()`;
  const poll = createPoll();
  for (let claimed = 0; claimed < remotes; claimed += MAX_IN_FLIGHT) {
    await poll.run(app.services);
    await poll.idle();
  }
  // The next run writes the results.
  await poll.run(app.services);
}

/** The poller's own limit of concurrent checks. */
const MAX_IN_FLIGHT = 4_000;

/** The upper bound of any poller: the same small request over kept connections, whose answer it discards. */
async function bareRequests({ url, remotes, rounds }: Target, signal: AbortSignal): Promise<Measured> {
  const pool = new Pool(url, { connections: AT_ONCE });
  const lines = ['peel', 'symrefs', 'ref-prefix HEAD', 'ref-prefix refs/heads/main', 'ref-prefix refs/tags/main'];
  const body = Buffer.from([packet('command=ls-refs'), DELIMITER, ...lines.map(packet), FLUSH].join(''));
  const headers = {
    'content-type': 'application/x-git-upload-pack-request',
    accept: 'application/x-git-upload-pack-result',
    'git-protocol': 'version=2',
  };
  try {
    const ask = async (n: number): Promise<void> => {
      const response = await pool.request({ method: 'POST', path: `/${nameOf(n % remotes)}.git/git-upload-pack`, headers, body, signal });
      await response.body.arrayBuffer();
      if (response.statusCode !== 200) throw new Error(`The server answered ${response.statusCode}, must be 200`);
    };
    return await timed(() => inLanes(remotes * rounds, ask, signal));
  } finally {
    await pool.destroy();
  }
}

async function inLanes(count: number, work: (n: number) => Promise<unknown>, signal: AbortSignal): Promise<number> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      signal.throwIfAborted();
      await work(next++);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return count;
}

async function timed(work: () => Promise<number>): Promise<Measured> {
  const [childrenBefore, cpuBefore, started] = [await endedChildrenCpuSeconds(), process.cpuUsage(), performance.now()];
  const done = await work();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { done, seconds, cpuSeconds: (user + system) / 1e6 + (await endedChildrenCpuSeconds()) - childrenBefore };
}

/** Links one repository under many names. */
async function serveLinks(host: TestGitHost, remotes: number): Promise<void> {
  for (let n = 0; n < remotes; n++) await symlink(host.pathOf(REPOSITORY), host.pathOf(nameOf(n)));
}

const perSecond = ({ done, seconds }: Measured) => done / seconds;
const perCpuSecond = ({ done, cpuSeconds }: Measured) => done / cpuSeconds;

function printResults(remotes: number, memory: Comparison, backend: Comparison): void {
  const ratio = (a: Measured, b: Measured) => round(perSecond(a) / perSecond(b), 2);
  const shown = (measured: Measured) => `${Math.round(perSecond(measured))}/s`;
  const times = (value: number) => `${value} ×`;
  const ratioPerCpu = round(perCpuSecond(memory.polls) / perCpuSecond(memory.lsRemote), 1);
  const result = {
    ...{ bench: 'poll', remotes, applied: Math.min(memory.found, backend.found) },
    ratioToGitLsRemote: ratio(memory.polls, memory.lsRemote),
    ratioToGitLsRemotePerCpuSecond: ratioPerCpu,
    ratioToBareRequest: ratio(memory.polls, memory.bare),
    cpuSecondsPer1000Polls: round((memory.polls.cpuSeconds / memory.polls.done) * 1000, 3),
    cpuSecondsPer1000LsRemotes: round((memory.lsRemote.cpuSeconds / memory.lsRemote.done) * 1000, 3),
    backend: { ratioToGitLsRemote: ratio(backend.polls, backend.lsRemote), ratioToBareRequest: ratio(backend.polls, backend.bare) },
  };
  const rows = [
    { what: 'answers from memory: polls', seen: shown(memory.polls) },
    { what: 'answers from memory: git ls-remote', seen: shown(memory.lsRemote) },
    { what: 'answers from memory: bare requests', seen: shown(memory.bare) },
    { what: 'polls to git ls-remote', seen: times(result.ratioToGitLsRemote), limit: TARGETS.polls },
    { what: 'the same per second of processor', seen: times(ratioPerCpu) },
    { what: 'polls to bare requests', seen: times(result.ratioToBareRequest) },
    { what: 'git http-backend: polls', seen: shown(backend.polls) },
    { what: 'git http-backend: git ls-remote', seen: shown(backend.lsRemote) },
    { what: 'git http-backend: bare requests', seen: shown(backend.bare) },
    { what: 'processor per 1,000 polls', seen: `${result.cpuSecondsPer1000Polls} s` },
  ];
  report(`${remotes} unchanged remotes, ${AT_ONCE} at once`, rows, result);
}
