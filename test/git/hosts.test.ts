import { expect, test } from 'vitest';
import { Problem } from '../../src/errors.ts';
import { createGitHosts } from '../../src/git/hosts.ts';
import { parseRemote } from '../../src/git/remote.ts';

const remote = (url: string) => parseRemote(url, { allowHttp: true, allowLocal: false });
const fail = (code: string) => () => Promise.reject(new Problem(code, code, { retry: 'backoff' }));

test('a host that keeps failing is left alone for a while, its neighbours are not', async () => {
  const hosts = createGitHosts(2);
  const down = remote('https://down.example/a.git');
  for (let tries = 0; tries < 5; tries++)
    await expect(hosts.run(down, fail('git_unreachable'))).rejects.toMatchObject({ code: 'git_unreachable' });
  await expect(hosts.run(remote('https://down.example/b.git'), async () => 'never asked')).rejects.toMatchObject({
    code: 'git_host_unavailable',
    retry: 'backoff',
  });
  expect(hosts.openCircuits()).toBe(1);
  expect(await hosts.run(remote('https://up.example/a.git'), async () => 'fine')).toBe('fine');
});

test('what is wrong with one repository does not count against its host', async () => {
  const hosts = createGitHosts(2);
  const host = remote('https://git.example/a.git');
  for (let tries = 0; tries < 20; tries++) await expect(hosts.run(host, fail('git_auth'))).rejects.toMatchObject({ code: 'git_auth' });
  expect(await hosts.run(host, async () => 'fine')).toBe('fine');
});

test('no more than the bound are at one host at once', async () => {
  const hosts = createGitHosts(3);
  let now = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++now);
    await new Promise((resolve) => setImmediate(resolve));
    now -= 1;
  };
  await Promise.all(Array.from({ length: 20 }, () => hosts.run(remote('https://git.example/a.git'), work)));
  expect(most).toBe(3);
});

test('a host that is well again is told of once', async () => {
  const hosts = createGitHosts(2);
  const told: string[] = [];
  hosts.onRecovered((origin) => told.push(origin));
  const remoteHost = remote('https://down.example:8443/a.git');
  for (let tries = 0; tries < 5; tries++) await hosts.run(remoteHost, fail('git_timeout')).catch(() => undefined);
  expect(told).toEqual([]);
  // The first pause of the circuit is about two seconds.
  await expect.poll(() => hosts.run(remoteHost, async () => 'fine').catch(() => 'left alone'), { timeout: 60_000 }).toBe('fine');
  await hosts.run(remoteHost, async () => 'fine');
  expect(told).toEqual(['https://down.example:8443']);
});

test('who waits for a turn at a host gives up with the reason of its signal', async () => {
  const hosts = createGitHosts(1);
  const busy = remote('https://busy.example/a.git');
  const release = Promise.withResolvers<void>();
  const first = hosts.run(busy, () => release.promise);
  const impatient = new AbortController();
  const waiting = hosts.run(busy, async () => 'never', impatient.signal);
  const reason = new Error('no time');
  impatient.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  release.resolve();
  await first;
});
