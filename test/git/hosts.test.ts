import { expect, test } from 'vitest';
import { Problem } from '../../src/errors.ts';
import { openSlots } from '../../src/git/host-slots.ts';
import { createGitHosts, type GitHosts } from '../../src/git/hosts.ts';
import { parseRemote } from '../../src/git/remote.ts';
import type { GitErrorCode } from '../../src/wire/errors.ts';

const remote = (url: string) => parseRemote(url, { allowHttp: true, allowLocal: false });
const fail = (code: GitErrorCode, cause?: Error) => () => Promise.reject(new Problem(code, code, { cause }));
const refused = fail('git_unreachable', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
const fine = async () => 'fine';
const caller = (id: string, organizationId = 'a') => ({ organizationId, id });
const shared = remote('https://git.example/a.git');

async function failOften(hosts: GitHosts, times: number, id: string, work: () => Promise<never>, organizationId = 'a'): Promise<void> {
  for (let n = 0; n < times; n++) await hosts.run(shared, caller(id, organizationId), work).catch(() => undefined);
}

test('connection faults open the circuit for the failing sources, not for healthy ones and not for other hosts', async () => {
  const hosts = createGitHosts(2);
  await failOften(hosts, 5, 'one', refused);
  expect(hosts.openCircuits()).toBe(1);
  await expect(hosts.run(shared, caller('one'), fine)).rejects.toMatchObject({ code: 'git_host_unavailable', retry: 'backoff' });
  expect(await hosts.run(shared, caller('new'), fine)).toBe('fine');
  expect(await hosts.run(remote('https://up.example/a.git'), caller('one'), fine)).toBe('fine');
});

test('a repository that times out or answers 500 counts once, however often it is called', async () => {
  const hosts = createGitHosts(2);
  for (const code of ['git_timeout', 'git_server_error', 'git_unreachable'] as const) await failOften(hosts, 20, 'one', fail(code));
  expect(hosts.openCircuits()).toBe(0);
  for (let n = 0; n < 4; n++) await failOften(hosts, 1, `other-${n}`, fail('git_timeout'));
  expect(hosts.openCircuits()).toBe(1);
});

test('a success resets the count of faults', async () => {
  const hosts = createGitHosts(2);
  await failOften(hosts, 4, 'one', refused);
  await hosts.run(shared, caller('two'), fine);
  await failOften(hosts, 4, 'one', refused);
  expect(hosts.openCircuits()).toBe(0);
});

test('the repositories of one organization never open the circuit of another', async () => {
  const hosts = createGitHosts(2);
  for (let n = 0; n < 10; n++) await failOften(hosts, 5, `hung-${n}`, fail('git_timeout'), 'a');
  await failOften(hosts, 5, 'down', refused, 'a');
  await failOften(hosts, 1, 'mine', fail('git_timeout'), 'b');
  expect(await hosts.run(shared, caller('mine', 'b'), fine)).toBe('fine');
});

test('a new source reaches the host at once after failing sources were deleted', async () => {
  const hosts = createGitHosts(2);
  for (let n = 0; n < 10; n++) await failOften(hosts, 5, `deleted-${n}`, fail('git_timeout'));
  expect(hosts.openCircuits()).toBe(1);
  expect(await hosts.run(shared, caller('created-later'), fine)).toBe('fine');
});

test('a connection test neither opens a circuit nor is rejected by one', async () => {
  const hosts = createGitHosts(2);
  for (let n = 0; n < 20; n++) await hosts.probe(shared, caller('one'), refused).catch(() => undefined);
  expect(hosts.openCircuits()).toBe(0);
  await failOften(hosts, 5, 'one', refused);
  expect(await hosts.probe(shared, caller('one'), fine)).toBe('fine');
});

test('an error of one repository alone does not count', async () => {
  const hosts = createGitHosts(2);
  for (let n = 0; n < 20; n++)
    await expect(hosts.run(shared, caller(`s-${n}`), fail('git_auth'))).rejects.toMatchObject({ code: 'git_auth' });
  expect(await hosts.run(shared, caller('s-0'), fine)).toBe('fine');
});

test('each organization has at most the limit of simultaneous calls at one host', async () => {
  const hosts = createGitHosts(3);
  const now = new Map<string, number>();
  const most = new Map<string, number>();
  const work = (organizationId: string) => async () => {
    const running = (now.get(organizationId) ?? 0) + 1;
    now.set(organizationId, running);
    most.set(organizationId, Math.max(most.get(organizationId) ?? 0, running));
    await new Promise((resolve) => setImmediate(resolve));
    now.set(organizationId, running - 1);
  };
  const calls = Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? 'a' : 'b'));
  await Promise.all(calls.map((organizationId, n) => hosts.run(shared, caller(`s-${n}`, organizationId), work(organizationId))));
  expect([...most]).toEqual([
    ['a', 3],
    ['b', 3],
  ]);
});

test('a recovered host is announced once, with the organization of the circuit', async () => {
  const hosts = createGitHosts(2);
  const announced: string[][] = [];
  hosts.onRecovered((...recovered) => announced.push(recovered));
  await failOften(hosts, 5, 'one', refused);
  expect(announced).toEqual([]);
  // The first pause of the circuit is about two seconds.
  const ask = () => hosts.run(shared, caller('one'), fine).catch(() => 'rejected');
  await expect.poll(ask, { timeout: 60_000 }).toBe('fine');
  await ask();
  expect(announced).toEqual([['a', 'https://git.example']]);
});

test("a caller stops waiting for a slot with its signal's reason", async () => {
  const hosts = createGitHosts(1);
  const release = Promise.withResolvers<void>();
  const first = hosts.run(shared, caller('one'), () => release.promise);
  const controller = new AbortController();
  const waiting = hosts.run(shared, caller('two'), async () => 'never', controller.signal);
  const reason = new Error('no time');
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  release.resolve();
  await first;
});

test('a hung call releases its slot to fast calls, and slow calls stay bounded', async () => {
  const slots = openSlots(1, 5);
  const release = Promise.withResolvers<string>();
  const hung = slots.run(false, () => release.promise);
  expect(await slots.run(false, fine)).toBe('fine');
  let begun = 0;
  const known = slots.run(true, async () => (begun += 1));
  expect(await slots.run(false, fine)).toBe('fine');
  expect(begun).toBe(0);
  release.resolve('late');
  expect(await hung).toBe('late');
  expect(await known).toBe(1);
});

test('an error of a call in a slot reaches its caller', async () => {
  const slots = openSlots(1, 5);
  await expect(slots.run(false, refused)).rejects.toMatchObject({ code: 'git_unreachable' });
  await expect(slots.run(true, refused)).rejects.toMatchObject({ code: 'git_unreachable' });
  expect(await slots.run(false, fine)).toBe('fine');
});
