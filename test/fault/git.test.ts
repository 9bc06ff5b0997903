import { createServer, type Server } from 'node:net';
import { expect, test } from 'vitest';
import { type Fault, openGitHost, type TestGitHost } from '../support/git-host.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { FLEET } from '../support/hostile.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

/** An honest list of refs, cut in its middle. */
const HALF_A_LIST = `0052${'1'.repeat(40)} HEAD symref-target:refs/heads/main\n003d${'1'.repeat(20)}`;
const HUGE_LIST = `003f${'1'.repeat(40)} refs/heads/xxxxxxx\n`.padEnd(63, 'x').repeat(600_000);

type Case = { name: string; fault: Fault; code: string; detail: RegExp };

const list = { command: 'ls-refs' } as const;
const fetch = { command: 'fetch' } as const;

/** The fault of each host, and the error of its source. Every detail ends with a remedy. */
const CASES: Case[] = [
  { name: 'silent', fault: { kind: 'hang' }, code: 'git_timeout', detail: /within 5000 ms; check that the host is healthy/ },
  {
    name: 'silent after headers',
    fault: { kind: 'stall', body: '', ...list },
    code: 'git_timeout',
    detail: /check that the host is healthy/,
  },
  { name: 'silent in the list', fault: { kind: 'stall', body: HALF_A_LIST, ...list }, code: 'git_timeout', detail: /check that the host/ },
  {
    name: 'trickling list',
    fault: { kind: 'spoil', how: 'trickle', after: 20, ...list },
    code: 'git_timeout',
    detail: /check that the host/,
  },
  {
    name: 'silent in the pack',
    fault: { kind: 'spoil', how: 'stall', after: 160, ...fetch },
    code: 'git_timeout',
    detail: /GIT_TIMEOUT_SECONDS/,
  },
  {
    name: 'trickling pack',
    fault: { kind: 'spoil', how: 'trickle', after: 160, ...fetch },
    code: 'git_timeout',
    detail: /GIT_TIMEOUT_SECONDS/,
  },
  {
    name: 'cut list',
    fault: { kind: 'spoil', how: 'cut', after: 20, ...list },
    code: 'git_unreachable',
    detail: /check the address and that the host is up/,
  },
  { name: 'cut pack', fault: { kind: 'spoil', how: 'cut', after: 160, ...fetch }, code: 'git_unreachable', detail: /check the address/ },
  {
    name: 'damaged pack',
    fault: { kind: 'spoil', how: 'flip', after: 160, ...fetch },
    code: 'git_transfer_damaged',
    detail: /arrived damaged: its checksum is wrong; Bellwether retries the transfer/,
  },
  {
    name: 'answering 500',
    fault: { kind: 'status', status: 500 },
    code: 'git_server_error',
    detail: /answered 500; its log has the reason/,
  },
  {
    name: 'saying no',
    fault: { kind: 'err', message: 'quota is used up' },
    code: 'git_protocol',
    detail: /the host reported "quota is used up"/,
  },
  {
    name: 'showing a page',
    fault: { kind: 'body', body: '<html>sign in</html>' },
    code: 'git_auth',
    detail: /a web page instead of Git's answer; it requires a sign-in/,
  },
  { name: 'refusing', fault: { kind: 'status', status: 403 }, code: 'git_auth', detail: /answered 403; check the source's credentials/ },
  {
    name: 'moved',
    fault: { kind: 'redirect', location: 'https://elsewhere.example.com/x.git/info/refs?service=git-upload-pack' },
    code: 'git_redirect',
    detail: /another origin, "https:\/\/elsewhere\.example\.com\/x\.git"; redirects to other hosts are not followed/,
  },
  {
    name: 'with a list without end',
    fault: { kind: 'body', body: HUGE_LIST, ...list },
    code: 'git_too_large',
    detail: /must be at most 33554432/,
  },
];

const slug = (name: string): string => name.replaceAll(' ', '-');

test('despite any fault of a host, the check of its source ends in time, the source shows the fault and its remedy, and recovers by itself', async () => {
  await using scene = await openScene({ GIT_TIMEOUT_SECONDS: '5' });
  // A host for each, because one fault must not count against another source.
  const hosts = new Map<string, TestGitHost>();
  try {
    const sources = await Promise.all(
      CASES.map(async ({ name, fault }) => {
        const host = await openGitHost();
        hosts.set(name, host);
        const url = await host.createRepository(slug(name));
        host.fault(slug(name), fault);
        const layout = name.includes('pack') ? 'fleet' : 'repo';
        const files = layout === 'fleet' ? { 'fleet.yaml': FLEET, ...folder({ vlan: 1 }, 'devices/a/') } : folder({ vlan: 1 });
        const head = await host.commit(slug(name), files);
        const answer = await scene.api('POST', '/sources', {
          name,
          url,
          layout,
          auth: { token: 'glpat-hidden' },
          pollIntervalSeconds: 3600,
        });
        expect(answer.status).toBe(201);
        return { name, id: answer.body.id as string, head };
      }),
    );
    for (const { name, code, detail } of CASES) {
      const { id } = sources.find((source) => source.name === name)!;
      const seen = await eventually(`"${name}" has its error`, async () => {
        const source = await scene.sourceNow(id);
        return source.lastError?.code === code ? source : undefined;
      });
      expect(seen.lastError, name).toEqual({ code, detail: expect.stringMatching(detail) });
      expect(seen.lastError.detail).not.toContain('glpat-hidden');
      expect(seen.headCommit, name).toBeNull();
      // The source backed off, or at least deferred its check because the waiting list was full.
      expect(Date.parse(seen.nextCheckAt) - Date.parse(seen.lastCheckedAt), name).toBeGreaterThanOrEqual(2_000);
      hosts.get(name)!.clearFault(slug(name));
    }
    for (const { name, id, head } of sources) {
      const well = await eventually(
        `"${name}" recovers`,
        async () => {
          const source = await scene.sourceNow(id);
          return source.headCommit === head ? source : undefined;
        },
        120_000,
      );
      expect(well, name).toMatchObject({ lastError: null, failures: 0 });
    }
  } finally {
    for (const host of hosts.values()) await host.close();
  }
});

test('the error of a host without TLS differs from that of a host that accepts connections and sends nothing', async () => {
  await using scene = await openScene({ GIT_TIMEOUT_SECONDS: '2' });
  await scene.host.createRepository('plain');
  const mute = await listen(createServer(() => undefined));
  try {
    const create = async (name: string, url: string) =>
      (await scene.api('POST', '/sources', { name, url, layout: 'repo', pollIntervalSeconds: 3600 })).body.id as string;
    const ids = {
      git_tls: await create('tls', scene.host.urlOf('plain').replace('http:', 'https:')),
      git_timeout: await create('mute', `https://127.0.0.1:${mute.port}/mute.git`),
    };
    for (const [code, id] of Object.entries(ids)) {
      const { lastError } = await eventually(code, async () => {
        const source = await scene.sourceNow(id);
        return source.status === 'failing' ? source : undefined;
      });
      expect(lastError.code).toBe(code);
    }
  } finally {
    await mute.close();
  }
});

test('the service follows no redirect to another host and sends no credentials there', async () => {
  await using scene = await openScene();
  await using other = await openGitHost();
  await other.createRepository('moved');
  await other.commit('moved', folder({ vlan: 1 }));
  await scene.host.createRepository('moved');
  scene.host.fault('moved', { kind: 'redirect', location: `${other.urlOf('moved')}/git-upload-pack` });
  const auth = { username: 'ada', password: 'correct-horse' };
  const { id } = (await scene.api('POST', '/sources', { name: 'moved', url: scene.host.urlOf('moved'), layout: 'repo', auth })).body;
  const { lastError } = await eventually('the refusal', async () => {
    const source = await scene.sourceNow(id);
    return source.status === 'failing' ? source : undefined;
  });
  expect(lastError).toEqual({ code: 'git_redirect', detail: expect.stringContaining(other.urlOf('moved')) });
  expect(other.requests).toEqual([]);
});

test('while a dozen hosts hang in every phase, pushes to other hosts take effect', async () => {
  await using scene = await openScene({ GIT_TIMEOUT_SECONDS: '60' });
  await using broken = await openGitHost();
  const phases: Fault[] = [
    { kind: 'hang' },
    { kind: 'stall', body: '' },
    { kind: 'stall', body: HALF_A_LIST, ...list },
    { kind: 'spoil', how: 'stall', after: 160, ...fetch },
  ];
  const healthy = await scene.source('healthy');
  const firstHead = await scene.push('healthy', healthy, folder({ vlan: 1 }));
  await eventually('the neighbour is well', async () => (await scene.sourceNow(healthy.id)).headCommit === firstHead);
  const hung: { id: string; hookUrl: string; name: string }[] = [];
  for (let n = 0; n < 12; n++) {
    const name = `hung-${n}`;
    const url = await broken.createRepository(name);
    await broken.commit(name, folder({ vlan: 1 }));
    broken.fault(name, phases[n % phases.length]!);
    const webhook = { provider: 'gitlab', secret: SIGNING_TOKEN };
    const { body } = await scene.api('POST', '/sources', { name, url, layout: 'repo', webhook, pollIntervalSeconds: 86_400 });
    hung.push({ ...body, name });
  }
  await Promise.all(hung.map(({ hookUrl }) => postGitLabPush(hookUrl, { after: 'a'.repeat(40) })));
  await eventually('requests hang', async () => broken.unanswered() >= 3);
  for (let vlan = 2; vlan <= 6; vlan++) {
    const head = await scene.push('healthy', healthy, folder({ vlan }));
    await eventually('the neighbour follows', async () => (await scene.sourceNow(healthy.id)).headCommit === head);
    expect(broken.unanswered()).toBeGreaterThan(0);
  }
  for (const { id } of hung) expect((await scene.sourceNow(id)).headCommit).toBeNull();
});

test('when a host recovers, the service checks all its sources at once, despite their long back-off', async () => {
  await using scene = await openScene();
  const names = Array.from({ length: 7 }, (_, n) => `down-${n}`);
  const sources: { id: string; head: string }[] = [];
  for (const name of names) {
    const url = await scene.host.createRepository(name);
    const head = await scene.host.commit(name, folder({ vlan: 1 }));
    scene.host.fault(name, { kind: 'status', status: 503 });
    const { id } = (await scene.api('POST', '/sources', { name, url, layout: 'repo', pollIntervalSeconds: 3600 })).body;
    sources.push({ id, head });
  }
  const { sql } = scene.service.database;
  await eventually(
    'the host is left alone',
    async () => (await sql`select 1 from sources where error_code = 'git_host_unavailable'`).length > 0,
  );
  // The state after hours of failures: no check is due soon.
  await eventually('all are deferred', async () => {
    await sql`update sources set next_check_at = now() + interval '1 hour' where status = 'failing'`;
    return (await sql`select 1 from sources where next_check_at > now() + interval '50 minutes'`).length === names.length;
  });
  for (const name of names) scene.host.clearFault(name);
  const [first] = sources;
  await eventually('one comes round, and finds the host well', async () => {
    await sql`update sources set next_check_at = now() where id = ${first!.id}`;
    return (await scene.sourceNow(first!.id)).headCommit === first!.head;
  });
  for (const { id, head } of sources) await eventually('it recovers', async () => (await scene.sourceNow(id)).headCommit === head);
});

async function listen(server: Server): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => void sockets.add(socket));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  const close = () =>
    new Promise<void>((done) => {
      server.close(() => done());
      for (const socket of sockets) socket.destroy();
    });
  return { port: address.port, close };
}
