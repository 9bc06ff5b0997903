import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openService, type TestService } from '../support/service.ts';
import { giteaCases, githubCase } from './webhook-github.ts';
import { gitlabCase } from './webhook-gitlab.ts';
import { azureCase, bitbucketCloudCase, bitbucketDataCenterCase, genericCase } from './webhook-others.ts';
import { type Row, SECRET } from './webhook-rows.ts';

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
});
afterAll(() => service.close());

const CASES = [gitlabCase, githubCase, ...giteaCases, bitbucketCloudCase, bitbucketDataCenterCase, azureCase, genericCase];

describe.each(CASES)('$provider', ({ provider, url, options, headers, rows }) => {
  let source: { id: string; hookUrl: string };
  beforeAll(async () => {
    const webhook = { provider, secret: SECRET, ...(options && { options }) };
    const answer = await service.api('POST', '/sources', { name: provider, url, layout: 'repo', webhook });
    if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
    source = answer.body;
  });

  test.each(rows)('$what: $outcome', async ({ event, body, outcome, request }: Row) => {
    const text = JSON.stringify(body);
    const signed = { 'content-type': 'application/json', ...headers(event, text) };
    const response = await fetch(source.hookUrl, { method: 'POST', body: text, headers: signed });
    const answer = (await response.json()) as { outcome?: string; reason?: string };
    expect([response.status, answer.outcome ?? answer.reason]).toEqual([outcome === 'ping' ? 200 : 202, outcome]);
    const deliveries = (await service.api('GET', `/sources/${source.id}/deliveries?limit=100`)).body.items;
    expect(deliveries.map(({ verdict }: { verdict: string }) => verdict)).toContain(outcome);
    if (request === undefined) return;
    const { items } = (await service.api('GET', `/sources/${source.id}/merge-requests`)).body;
    expect(items.map(({ number, state }: { number: number; state: string }) => [number, state])).toEqual([[7, request]]);
  });

  test('an unverified request gets 401, and a body that is neither JSON nor a form gets 400, for every event', async () => {
    const post = async (body: string, signed: Record<string, string>) =>
      (await fetch(source.hookUrl, { method: 'POST', body, headers: { 'content-type': 'text/plain', ...signed } })).status;
    const { event } = rows[0] ?? { event: '' };
    const forged = Object.fromEntries(Object.entries(headers(event, '{}')).map(([name, value]) => [name, value.replace(/.(?==*$)/, '_')]));
    expect(await post('{}', forged)).toBe(401);
    expect(await post('nothing of the kind', headers(event, 'nothing of the kind'))).toBe(400);
    expect(await post('', headers(event, ''))).toBe(400);
  });
});

test.each([githubCase, ...giteaCases])('$provider: a signed form is verified', async ({ provider, url, headers, rows }) => {
  const webhook = { provider, secret: SECRET };
  const source = (await service.api('POST', '/sources', { name: `${provider} form`, url, layout: 'repo', webhook })).body;
  const json = JSON.stringify(rows[0]?.body);
  const form = new URLSearchParams({ payload: json }).toString();
  const post = async (signed: string) => {
    const sent = { 'content-type': 'application/x-www-form-urlencoded', ...headers('push', signed) };
    return (await fetch(source.hookUrl, { method: 'POST', body: form, headers: sent })).status;
  };
  // GitHub signs the form as sent, Gitea and Forgejo sign the JSON inside.
  expect([await post(form), await post(json)]).toEqual(provider === 'github' ? [202, 401] : [401, 202]);
});

test('characters that the database cannot store and possible secrets are not stored', async () => {
  const webhook = { provider: 'generic', secret: SECRET, options: genericCase.options };
  const source = (await service.api('POST', '/sources', { name: 'text', url: genericCase.url, layout: 'repo', webhook })).body;
  const post = async (body: unknown) => {
    const text = JSON.stringify(body);
    const response = await fetch(source.hookUrl, { method: 'POST', body: text, headers: genericCase.headers('', text) });
    return ((await response.json()) as { outcome?: string }).outcome;
  };
  const elsewhere = 'https://ana:hunter2@git.example.com/fleet/ga\u0000tes.git?private_token=hunter3';
  expect(await post({ ref: 'main', repository_url: elsewhere })).toBe('other_repository');
  expect(await post({ ref: 'main', repository: { id: '\u0000', clone_url: genericCase.url }, pusher: 'an\u0000a' })).toBe('accepted');
  const kept = JSON.stringify((await service.api('GET', `/sources/${source.id}/deliveries`)).body);
  expect(kept).toContain('other_repository');
  expect(kept).not.toMatch(/hunter|\\u0000/);
});
