import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { AFTER, fixture, githubSignature, standardHeaders } from '../source/webhook/fixtures.ts';
import { SIGNING_TOKEN } from '../support/hooks.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

const SECRET = 'bellwether:a shared secret';
const seconds = () => String(Math.floor(Date.now() / 1000));
const hmac = (algorithm: string, text: string, encoding: 'hex' | 'base64') => createHmac(algorithm, SECRET).update(text).digest(encoding);

/** The address of the sample's repository. */
const REPOSITORY_URL = /("(?:clone_url|git_http_url|href|remoteUrl|repository_url)": ")[^"]*"/g;

type Host = {
  name: string;
  webhook: { provider: string; secret: string; options?: Record<string, unknown> };
  sample: string;
  headers(body: string): Record<string, string>;
};

const withSecret = (provider: string, options?: Record<string, unknown>) => ({ provider, secret: SECRET, ...(options && { options }) });

const HOSTS: Host[] = [
  {
    name: 'gitea',
    webhook: withSecret('gitea'),
    sample: 'gitea-push',
    headers: (body) => ({ 'x-gitea-event': 'push', 'x-gitea-delivery': 'd-1', 'x-gitea-signature': hmac('sha256', body, 'hex') }),
  },
  {
    name: 'forgejo',
    webhook: withSecret('forgejo'),
    sample: 'gitea-push',
    headers: (body) => ({ 'x-forgejo-event': 'push', 'x-forgejo-delivery': 'd-1', 'x-forgejo-signature': hmac('sha256', body, 'hex') }),
  },
  {
    name: 'bitbucket-cloud',
    webhook: withSecret('bitbucket-cloud'),
    sample: 'bitbucket-cloud-several',
    headers: (body) => ({ 'x-event-key': 'repo:push', 'x-request-uuid': 'd-1', 'x-hub-signature': githubSignature(SECRET, body) }),
  },
  {
    name: 'bitbucket-data-center',
    webhook: withSecret('bitbucket-data-center'),
    sample: 'bitbucket-data-center-several',
    headers: (body) => ({ 'x-event-key': 'repo:refs_changed', 'x-request-id': 'd-1', 'x-hub-signature': githubSignature(SECRET, body) }),
  },
  {
    name: 'azure-devops',
    webhook: withSecret('azure-devops'),
    sample: 'azure-devops-several',
    headers: () => ({ authorization: `Basic ${Buffer.from(SECRET).toString('base64')}` }),
  },
  {
    name: 'azure-devops-header',
    webhook: withSecret('azure-devops', { scheme: 'header', header: 'X-Hook-Token' }),
    sample: 'azure-devops-push',
    headers: () => ({ 'x-hook-token': SECRET }),
  },
  {
    name: 'generic-standard',
    webhook: { provider: 'generic', secret: SIGNING_TOKEN },
    sample: 'generic-push',
    headers: (body) => standardHeaders(SIGNING_TOKEN, body, { at: new Date() }),
  },
  {
    name: 'generic-hmac',
    webhook: withSecret('generic', {
      scheme: 'hmac',
      header: 'X-Sum',
      prefix: 'v=',
      encoding: 'base64',
      algorithm: 'sha512',
      timestamp: { header: 'X-Time' },
    }),
    sample: 'generic-push',
    headers: (body) => {
      const time = seconds();
      return { 'x-time': time, 'x-sum': `v=${hmac('sha512', `${time}.${body}`, 'base64')}` };
    },
  },
];

test("each host's signed push wakes its source, and a forged one does not", { timeout: 240_000 }, async () => {
  await using scene = await openScene();
  for (const { name, webhook, sample, headers } of HOSTS) {
    const source = await scene.source(name, { webhook, pollIntervalSeconds: 86_400 });
    await eventually(`${name} was looked at`, async () => (await scene.sourceNow(source.id)).status === 'empty');
    const after = await scene.host.commit(name, folder({ vlan: 1 }));
    const { url } = await scene.sourceNow(source.id);
    const body = fixture(sample).toString().replaceAll(AFTER, after).replaceAll(REPOSITORY_URL, `$1${url}"`);
    const post = async (signed: Record<string, string>) => {
      const response = await fetch(source.hookUrl, { method: 'POST', body, headers: { 'content-type': 'application/json', ...signed } });
      const told = (await response.json()) as { code?: string; outcome?: string };
      return [response.status, told.code ?? told.outcome];
    };
    const genuine = headers(body);
    const forged = Object.fromEntries(Object.entries(genuine).map(([key, value]) => [key, value.replace(/.(?==*$)/, '_')]));
    expect(await post(forged), name).toEqual([401, 'hook_unauthorized']);
    expect((await scene.sourceNow(source.id)).status).toBe('empty');
    expect(await post(genuine), name).toEqual([202, 'accepted']);
    await eventually(`${name}: the push has its effect`, async () => (await scene.sourceNow(source.id)).headCommit === after);
    expect(await post(genuine), name).toEqual([202, 'duplicate']);
  }
});

test('webhook options are shown, replaced and removed; those of another provider and half ones are refused', async () => {
  await using scene = await openScene();
  const options = { scheme: 'hmac', header: 'X-Sum' };
  const source = await scene.source('terminal', { webhook: withSecret('generic', options) });
  const change = (webhook: unknown) => scene.api('PATCH', `/sources/${source.id}`, { webhook });
  const whole = { scheme: 'hmac', header: 'x-sum', prefix: '', encoding: 'hex', algorithm: 'sha256' };
  expect((await scene.sourceNow(source.id)).webhook).toEqual({ provider: 'generic', secret: '…cret', options: whole });
  for (const refused of [
    withSecret('gitlab', options),
    withSecret('generic', { scheme: 'header', header: 'x' }),
    withSecret('generic', { scheme: 'hmac' }),
    withSecret('generic'),
    { provider: 'azure-devops', secret: 'no user in it' },
    { provider: 'generic', options },
  ])
    expect((await change(refused)).status, JSON.stringify(refused)).toBe(400);
  expect((await scene.api('PATCH', `/sources/${source.id}`, { pollIntervalSeconds: 99 })).body.webhook.options).toEqual(whole);
  expect((await change({ provider: 'gitlab', secret: SIGNING_TOKEN })).body.webhook).toMatchObject({ provider: 'gitlab', options: null });
  expect((await change(null)).body.webhook).toBeNull();
});
