import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AFTER, BEFORE } from '../source/webhook/fixtures.ts';
import { openService, type TestService } from '../support/service.ts';
import { giteaCases, githubCase } from './webhook-github.ts';
import { gitlabCase } from './webhook-gitlab.ts';
import { azureCase, bitbucketCloudCase, bitbucketDataCenterCase, genericCase } from './webhook-others.ts';
import { type HostCase, newId, OTHER, SECRET, sample, ZEROS } from './webhook-rows.ts';

/** Requests of hosts and users beyond the table of events: odd shapes, old formats, other spellings. */

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
});
afterAll(() => service.close());

type Settings = { url?: string; ref?: string };
type Send = (event: string, body: unknown, more?: Record<string, string>) => Promise<[status: number, outcome: string | undefined]>;

async function create(host: HostCase, settings: Settings, secret = SECRET) {
  const { provider, url, options } = host;
  const webhook = { provider, secret, ...(options && { options }) };
  const answer = await service.api('POST', '/sources', { name: `${provider} ${newId()}`, url, layout: 'repo', webhook, ...settings });
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
  return answer.body as { id: string; hookUrl: string };
}

/** A separate source, and a function that sends it deliveries with the host's signature. */
async function sourceOf(host: HostCase, settings: Settings = {}) {
  const { id, hookUrl } = await create(host, settings);
  const send: Send = async (event, body, more = {}) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const headers = { 'content-type': 'application/json', ...host.headers(event, text), ...more };
    const response = await fetch(hookUrl, { method: 'POST', body: text, headers });
    const answer = (await response.json()) as { outcome?: string; reason?: string; code?: string };
    return [response.status, answer.outcome ?? answer.reason ?? answer.code];
  };
  return {
    send,
    details: async (): Promise<(string | null)[]> => {
      const { items } = (await service.api('GET', `/sources/${id}/deliveries`)).body;
      return items.map(({ detail }: { detail: string | null }) => detail);
    },
    requests: async (): Promise<{ number: number; state: string; title: string | null }[]> =>
      (await service.api('GET', `/sources/${id}/merge-requests`)).body.items,
  };
}

const ACCEPTED = [202, 'accepted'];
const [gitea, forgejo] = giteaCases as [HostCase, HostCase];
const FORM = 'application/x-www-form-urlencoded';

describe('GitLab', () => {
  test('a system hook has the project’s id outside the project, and it survives a rename', async () => {
    const { send } = await sourceOf(gitlabCase);
    expect(await send('Push Hook', sample('gitlab-push'))).toEqual(ACCEPTED);
    const named = (path: string) => ({
      ...{ name: 'Tills', path_with_namespace: path, default_branch: 'main', web_url: `https://gitlab.example.com/${path}` },
      ...{ git_ssh_url: `git@gitlab.example.com:${path}.git`, git_http_url: `https://gitlab.example.com/${path}.git` },
    });
    const changes = [{ before: BEFORE, after: OTHER, ref: 'refs/heads/main' }];
    const update = (project_id: number, path: string) => ({ event_name: 'repository_update', project_id, project: named(path), changes });
    expect(await send('System Hook', update(15, 'fleet/tills'))).toEqual(ACCEPTED);
    expect(await send('System Hook', update(99, 'fleet/tills'))).toEqual([202, 'other_repository']);
    const request = sample('gitlab-merge-request', {
      ...{ project: named('fleet/tills'), 'object_attributes/target_project_id': 15, 'object_attributes/action': 'open' },
    });
    expect(await send('System Hook', request)).toEqual(ACCEPTED);
  });

  test('a deleted tag concerns the sources that follow it', async () => {
    const gone = sample('gitlab-tag-push', { ref: 'refs/tags/v1.0.0', after: ZEROS, checkout_sha: null });
    expect(await (await sourceOf(gitlabCase)).send('Tag Push Hook', gone)).toEqual([202, 'other_ref']);
    expect(await (await sourceOf(gitlabCase, { ref: 'v1.0.0' })).send('Tag Push Hook', gone)).toEqual(ACCEPTED);
  });

  test('a draft from a fork is planned, and marking it ready moves no commit', async () => {
    const { send, requests } = await sourceOf(gitlabCase);
    const fork = {
      'object_attributes/source': { git_http_url: 'https://gitlab.example.com/ben/terminals.git' },
      ...{ 'object_attributes/source_project_id': 77, 'object_attributes/title': 'Draft: Spring', 'object_attributes/draft': true },
    };
    expect(await send('Merge Request Hook', sample('gitlab-merge-request', { ...fork, 'object_attributes/action': 'open' }))).toEqual(
      ACCEPTED,
    );
    const ready = { ...fork, 'object_attributes/action': 'update', 'object_attributes/oldrev': undefined };
    const changes = { draft: { previous: true, current: false } };
    expect(await send('Merge Request Hook', sample('gitlab-merge-request', { ...ready, changes }))).toEqual([202, 'ignored']);
    expect(await requests()).toMatchObject([{ number: 7, state: 'open' }]);
  });

  test('a signature takes precedence over a token, and a token may have any characters', async () => {
    const signed = { 'webhook-id': 'a', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)), 'webhook-signature': 'v1,AAAA' };
    expect(await (await sourceOf(gitlabCase)).send('Push Hook', sample('gitlab-push'), signed)).toEqual([401, 'hook_unauthorized']);

    const secret = 'Kasse für Käse €';
    const { hookUrl } = await create(gitlabCase, {}, secret);
    const post = (token: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        // GitLab sends the bytes of UTF-8.
        const headers = { 'x-gitlab-event': 'Push Hook', 'x-gitlab-token': Buffer.from(token).toString('latin1') };
        const sent = request(hookUrl, { method: 'POST', headers }, (response) => resolve(response.resume().statusCode));
        sent.on('error', reject).end(Buffer.from(JSON.stringify(sample('gitlab-push'))));
      });
    expect([await post(secret), await post('Kasse fur Kase €')]).toEqual([202, 401]);
  });
});

describe('GitHub', () => {
  test('a new branch of 3,000 commits is accepted, although 2,048 are listed', async () => {
    const commits = Array.from({ length: 2_048 }, (_, n) => ({
      id: n.toString(16).padStart(40, '0'),
      message: `m${n}`,
      modified: ['a.json'],
    }));
    const body = sample('github-push', { before: ZEROS, created: true, commits });
    expect(await (await sourceOf(githubCase)).send('push', body)).toEqual(ACCEPTED);
  });

  test('hooks of organizations and apps name many repositories, and merge queues have their own branches', async () => {
    const { send } = await sourceOf(githubCase);
    const target = { 'x-github-hook-installation-target-type': 'organization', 'x-github-hook-installation-target-id': '4' };
    const gates = { 'repository/id': 99, 'repository/full_name': 'fleet/gates', 'repository/ssh_url': 'git@github.com:fleet/gates.git' };
    const urls = { 'repository/clone_url': 'https://github.com/fleet/gates.git', 'repository/html_url': 'https://github.com/fleet/gates' };
    expect(await send('push', sample('github-push', { ...gates, ...urls }), target)).toEqual([202, 'other_repository']);
    const added = { action: 'added', repositories_added: [{ id: 1, full_name: 'fleet/terminals' }] };
    expect(await send('installation_repositories', added, target)).toEqual([202, 'ignored']);
    expect(await send('merge_group', { action: 'checks_requested', merge_group: {} }, target)).toEqual([202, 'ignored']);
    const queued = sample('github-push', { ref: `refs/heads/gh-readonly-queue/main/pr-7-${AFTER}`, before: ZEROS });
    expect(await send('push', queued, target)).toEqual([202, 'other_ref']);
  });

  test('a long title is shortened, and a pull request closes even if its fork was deleted', async () => {
    const { send, requests } = await sourceOf(githubCase);
    const title = '🧾'.repeat(240);
    await send('pull_request', sample('github-pull-request', { action: 'opened', 'pull_request/title': title }));
    expect(await requests()).toMatchObject([{ state: 'open', title: '🧾'.repeat(200) }]);
    const gone = { action: 'closed', 'pull_request/head/repo': null, 'pull_request/head/user': null };
    expect(await send('pull_request', sample('github-pull-request', gone))).toEqual(ACCEPTED);
    expect(await requests()).toMatchObject([{ state: 'closed' }]);
  });

  test('a form is recognised by its media type in any spelling', async () => {
    const form = new URLSearchParams({ payload: JSON.stringify(sample('github-push')) }).toString();
    const type = { 'content-type': 'Application/X-WWW-Form-URLencoded; charset=UTF-8' };
    expect(await (await sourceOf(githubCase)).send('push', form, type)).toEqual(ACCEPTED);
  });
});

test('a ping with any body is accepted, and an empty body of another event is malformed', async () => {
  const ping = [200, 'ping'];
  const github = await sourceOf(githubCase);
  expect(await github.send('ping', '')).toEqual(ping);
  expect(await github.send('ping', '', { 'content-type': FORM })).toEqual(ping);
  expect(await github.send('push', '')).toEqual([400, 'hook_malformed']);
  expect(await (await sourceOf(bitbucketDataCenterCase)).send('diagnostics:ping', '')).toEqual(ping);
  expect(await (await sourceOf(bitbucketDataCenterCase)).send('diagnostics:ping', '{}', { 'x-hub-signature': 'sha256=00' })).toEqual([
    401,
    'hook_unauthorized',
  ]);
});

test('JSON may begin with a byte order mark', async () => {
  expect(await (await sourceOf(gitea)).send('push', `\uFEFF${JSON.stringify(sample('gitea-push'))}`)).toEqual(ACCEPTED);
  const push = JSON.stringify(sample('azure-devops-push', { id: newId() }));
  expect(await (await sourceOf(azureCase)).send('', `\uFEFF${push}`)).toEqual(ACCEPTED);
});

describe('the address of a repository', () => {
  const sshOnly = (ssh_url: string) =>
    sample('gitea-push', {
      'repository/id': undefined,
      'repository/clone_url': undefined,
      'repository/html_url': undefined,
      'repository/ssh_url': ssh_url,
    });

  test('may be an SSH address only, with capitals in the host and with ports', async () => {
    const { send } = await sourceOf(gitea, { url: 'https://GIT.example.com:3000/Fleet/Terminals/' });
    expect(await send('push', sshOnly('ssh://git@GIT.EXAMPLE.COM:2222/fleet/terminals.git'))).toEqual(ACCEPTED);
  });

  test('may have non-ASCII characters in host and path, encoded or not, composed or not', async () => {
    const { send } = await sourceOf(gitea, { url: 'https://git.käse.example/fleet/süd.git' });
    for (const url of ['git@git.käse.example:fleet/süd.git', 'ssh://git@git.xn--kse-qla.example:2222/fleet/s%C3%BCd.git'])
      expect(await send('push', sshOnly(url)), url).toEqual(ACCEPTED);
    expect(await send('push', sshOnly('git@git.käse.example:fleet/su\u0308d.git'))).toEqual(ACCEPTED);
    expect(await send('push', sshOnly('git@git.kase.example:fleet/süd.git'))).toEqual([202, 'other_repository']);
    expect(await send('push', sshOnly('git@git.käse.example:fleet/sud.git'))).toEqual([202, 'other_repository']);
  });

  const azurePush = (remoteUrl: string) =>
    sample('azure-devops-push', {
      id: newId(),
      'resource/repository/id': undefined,
      'resource/repository/remoteUrl': remoteUrl,
      remoteUrl,
    });

  test('may have spaces and umlauts at Azure DevOps, encoded or not', async () => {
    const { send } = await sourceOf(azureCase, { url: 'https://dev.azure.com/contoso/Filialen%20S%C3%BCd/_git/Kassen' });
    expect(await send('', azurePush('https://contoso@dev.azure.com/contoso/Filialen%20S%C3%BCd/_git/Kassen'))).toEqual(ACCEPTED);
    expect(await send('', azurePush('https://dev.azure.com/contoso/Filialen Süd/_git/Kassen'))).toEqual(ACCEPTED);
  });

  test('may omit the project of its first repository at Azure DevOps Server, too', async () => {
    const long = 'https://tfs.example.com/tfs/DefaultCollection/Fleet/_git/Fleet';
    const short = 'https://tfs.example.com/tfs/DefaultCollection/_git/Fleet';
    for (const [ours, theirs] of [
      [long, short],
      [short, long],
    ] as const)
      expect(await (await sourceOf(azureCase, { url: ours })).send('', azurePush(theirs))).toEqual(ACCEPTED);
    const { send } = await sourceOf(azureCase, { url: long });
    for (const other of ['_git/Gates', 'Gates/_git/Fleet', 'Fleet/_git/Gates'])
      expect(await send('', azurePush(`https://tfs.example.com/tfs/DefaultCollection/${other}`)), other).toEqual([202, 'other_repository']);
  });

  test('may be missing: the host’s id is enough, and the repository does not count as renamed', async () => {
    const cloud = await sourceOf(bitbucketCloudCase);
    await cloud.send('repo:push', sample('bitbucket-cloud-push'));
    const bare = sample('bitbucket-cloud-push', { 'repository/full_name': undefined, 'repository/links': undefined, again: true });
    expect(await cloud.send('repo:push', bare)).toEqual(ACCEPTED);
    const azure = await sourceOf(azureCase);
    await azure.send('', azureWhole());
    const { refUpdates, repository } = azureWhole().resource;
    const minimal = { id: newId(), eventType: 'git.push', resource: { refUpdates, repository: { id: repository.id } } };
    expect(await azure.send('', minimal)).toEqual(ACCEPTED);
    expect([...(await cloud.details()), ...(await azure.details())]).toEqual([null, null, null, null]);
  });

  test('may be owner and name, as in CI variables, in JSON or in a form', async () => {
    const { send } = await sourceOf(genericCase);
    const other = [202, 'other_repository'];
    expect(await send('', { ref: 'main', repository: 'fleet/terminals' })).toEqual(ACCEPTED);
    expect(await send('', { ref: 'main', repository_url: 'git.example.com/fleet/terminals' })).toEqual(ACCEPTED);
    expect(await send('', { ref: 'main', repository: 'https://git.example.com/fleet/terminals' })).toEqual(ACCEPTED);
    expect(await send('', { ref: 'main', repository: 'fleet/gates' })).toEqual(other);
    expect(await send('', { ref: 'main', repository_url: 'fleet/gates' })).toEqual(other);
    expect(await send('', { ref: 'main', repository_url: 'git.example.org/fleet/terminals' })).toEqual(other);
    expect(await send('', 'ref=main&repository=fleet%2Fgates', { 'content-type': FORM })).toEqual(other);
    // A single word names no repository.
    expect(await send('', { ref: 'main', repository: 'terminals' })).toEqual(ACCEPTED);
  });
});

function azureWhole() {
  return sample('azure-devops-push', { id: newId() }) as { resource: { refUpdates: unknown; repository: { id: string } } };
}

describe('the ref', () => {
  test('may be a deleted tag, at Azure DevOps and Bitbucket Cloud', async () => {
    const refUpdates = [{ name: 'refs/tags/v1', oldObjectId: AFTER, newObjectId: ZEROS }];
    const azure = sample('azure-devops-push', { id: newId(), 'resource/refUpdates': refUpdates });
    expect(await (await sourceOf(azureCase)).send('', azure)).toEqual([202, 'other_ref']);
    const old = { 'push/changes/0/old/type': 'tag', 'push/changes/0/old/name': 'v1' };
    const cloud = sample('bitbucket-cloud-push', { ...old, 'push/changes/0/new': null, 'push/changes/0/closed': true });
    expect(await (await sourceOf(bitbucketCloudCase)).send('repo:push', cloud)).toEqual([202, 'other_ref']);
  });

  test('may be HEAD: the default branch, or any branch if the sender does not name it', async () => {
    const repository = { clone_url: genericCase.url, default_branch: 'main' };
    const head = await sourceOf(genericCase, { ref: 'HEAD' });
    expect(await head.send('', { ref: 'HEAD', repository })).toEqual(ACCEPTED);
    expect(await head.send('', { ref: 'HEAD' })).toEqual(ACCEPTED);
    const main = await sourceOf(genericCase);
    expect(await main.send('', { ref: 'HEAD', repository })).toEqual(ACCEPTED);
    expect(await main.send('', { ref: 'HEAD' })).toEqual(ACCEPTED);
    expect(await main.send('', { ref: 'HEAD', repository: { ...repository, default_branch: 'trunk' } })).toEqual([202, 'other_ref']);
  });

  test('may be the new default branch of a repository at Forgejo, for a source that follows HEAD', async () => {
    const { send } = await sourceOf(forgejo, { ref: 'HEAD' });
    const { repository } = sample('gitea-push', { 'repository/default_branch': 'trunk' }) as { repository: unknown };
    expect(await send('create', { ref: 'trunk', ref_type: 'branch', sha: AFTER, repository })).toEqual(ACCEPTED);
    expect(await send('delete', { ref: 'main', ref_type: 'branch', repository })).toEqual([202, 'other_ref']);
    const push = sample('gitea-push', { ref: 'refs/heads/trunk', before: ZEROS, 'repository/default_branch': 'trunk' });
    expect(await send('push', push)).toEqual(ACCEPTED);
  });
});
