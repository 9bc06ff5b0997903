import { expect, test } from 'vitest';
import { standardHeaders } from '../source/webhook/fixtures.ts';
import { postGitLabPush, SIGNING_TOKEN } from '../support/hooks.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually, openService } from '../support/service.ts';

const FORGED = { secret: `whsec_${Buffer.alloc(32, 9).toString('base64')}` };
const NOWHERE = '00000000-0000-7000-8000-000000000000';

type Delivery = { deliveryId: string; verdict: string; detail: string | null; ref: string | null; commit: string | null };

test('deliveries are listed with their verdicts, newest first, page by page', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal', { pollIntervalSeconds: 86_400 });
  const after = await scene.host.commit('terminal', folder({ vlan: 1 }));
  await postGitLabPush(source.hookUrl, { after }, { id: 'd-1' });
  await postGitLabPush(source.hookUrl, { after, ref: 'refs/heads/topic' }, { id: 'd-2' });
  await postGitLabPush(source.hookUrl, { after }, { id: 'd-1' });
  await postGitLabPush(source.hookUrl, { after }, { ...FORGED, id: 'd-3' });
  await postGitLabPush(source.hookUrl, { after }, { at: new Date(Date.now() - 3_600_000) });
  await fetch(source.hookUrl, {
    method: 'POST',
    body: 'ref=main',
    headers: standardHeaders(SIGNING_TOKEN, 'ref=main', { at: new Date() }),
  });
  const list = async (query = '') => (await scene.api('GET', `/sources/${source.id}/deliveries${query}`)).body;
  const all: Delivery[] = (await list()).items;
  expect(all.map(({ verdict }) => verdict)).toEqual(['malformed', 'expired', 'unauthorized', 'duplicate', 'other_ref', 'accepted']);
  expect(all.at(-1)).toEqual({
    deliveryId: 'd-1',
    provider: 'gitlab',
    event: 'push',
    ref: 'refs/heads/main',
    commit: after,
    verdict: 'accepted',
    detail: null,
    receivedAt: expect.any(String),
  });
  expect(all.slice(0, 4).map(({ detail }) => detail)).toEqual([
    'Cannot read the hook: the body is not JSON',
    expect.stringContaining('differs from this clock'),
    expect.stringContaining('signature'),
    'Delivery "d-1" came before',
  ]);
  const walked: Delivery[] = [];
  for (let page = await list('?limit=1'); ; page = await list(`?limit=1&cursor=${page.nextCursor}`)) {
    walked.push(...page.items);
    if (page.nextCursor === null) break;
  }
  expect(walked).toEqual(all);
});

test('a forged delivery does not take the id of the genuine one that follows', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal');
  const after = await scene.host.commit('terminal', folder({ vlan: 1 }));
  expect((await postGitLabPush(source.hookUrl, { after }, { ...FORGED, id: 'd-1' })).status).toBe(401);
  const genuine = await postGitLabPush(source.hookUrl, { after }, { id: 'd-1' });
  expect(await genuine.json()).toMatchObject({ outcome: 'accepted' });
});

test('however many are refused, at most one a second is kept, and a thousand in all', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal', { pollIntervalSeconds: 86_400 });
  const { sql } = scene.service.database;
  const count = async () =>
    (await sql<[{ n: number }]>`select count(*)::int as n from hook_deliveries where source_id = ${source.id}`)[0].n;
  const started = Math.floor(Date.now() / 1000);
  const answers = await Promise.all(Array.from({ length: 60 }, () => postGitLabPush(source.hookUrl, { after: 'a'.repeat(40) }, FORGED)));
  expect(answers.map(({ status }) => status)).toEqual(Array(60).fill(401));
  const elapsedSeconds = Math.floor(Date.now() / 1000) - started;
  expect(await count()).toBeGreaterThanOrEqual(1);
  expect(await count()).toBeLessThanOrEqual(elapsedSeconds + 1);
  await sql`
    insert into hook_deliveries (organization_id, source_id, delivery_id, provider, verdict)
    select organization_id, id, 'unauthorized-' || n, 'gitlab', 'unauthorized' from sources, generate_series(1, 1500) n where id = ${source.id}`;
  await postGitLabPush(source.hookUrl, { after: 'a'.repeat(40) }, { at: new Date(0) });
  expect(await count()).toBe(1000);
  const [newest] = (await scene.api('GET', `/sources/${source.id}/deliveries?limit=1`)).body.items;
  expect(newest).toMatchObject({ verdict: 'expired' });
});

test('a delivery that is delivered again wakes its source; one that was refused is not', async () => {
  await using scene = await openScene();
  const source = await scene.source('terminal', { pollIntervalSeconds: 86_400 });
  const first = await scene.host.commit('terminal', folder({ vlan: 1 }));
  await postGitLabPush(source.hookUrl, { after: first }, { id: 'd/1 %2F'.replace(' ', '+') });
  await eventually('the first commit', async () => (await scene.sourceNow(source.id)).headCommit === first);
  // Its hook is lost.
  const second = await scene.host.commit('terminal', folder({ vlan: 2 }));
  const redeliver = (id: string, of = source.id) => scene.api('POST', `/sources/${of}/deliveries/${encodeURIComponent(id)}/redeliver`);
  expect(await redeliver('d/1+%2F')).toMatchObject({ status: 202, body: { queued: true } });
  await eventually('the second commit', async () => (await scene.sourceNow(source.id)).headCommit === second);
  expect((await scene.sourceNow(source.id)).status).toBe('ok');
  await postGitLabPush(source.hookUrl, { after: second }, FORGED);
  const [refused]: Delivery[] = (await scene.api('GET', `/sources/${source.id}/deliveries`)).body.items;
  expect(refused?.verdict).toBe('unauthorized');
  expect(await redeliver(refused?.deliveryId ?? '')).toMatchObject({ status: 409, body: { code: 'delivery_not_taken' } });
  expect((await redeliver('unknown')).status).toBe(404);
  expect((await redeliver('d/1+%2F', NOWHERE)).status).toBe(404);
  const acts: { action: string }[] = (await scene.api('GET', '/audit')).body.items;
  expect(acts.filter(({ action }) => action === 'source.redeliver')).toHaveLength(1);
});

test('Azure DevOps, sending too much, is told 503 where others are told 429', async () => {
  await using service = await openService({ RATE_LIMIT_REFUSED: '1', TRUST_PROXY: 'true' });
  const statuses = async (headers: Record<string, string>, id: string) => {
    const post = () => fetch(`${service.url}/hooks/${id}`, { method: 'POST', body: '{}', headers });
    return new Set((await Promise.all(Array.from({ length: 20 }, post))).map(({ status }) => status));
  };
  expect(await statuses({ 'x-vss-subscriptionid': 's', 'x-forwarded-for': '203.0.113.1' }, NOWHERE)).toEqual(new Set([410, 503]));
  expect(await statuses({ 'x-gitlab-event': 'Push Hook', 'x-forwarded-for': '203.0.113.2' }, 'elsewhere')).toEqual(new Set([404, 429]));
});

test('Azure DevOps is told 410 for a source that is gone, and no host is ever told 500', async () => {
  await using scene = await openScene();
  const post = (url: string, headers: Record<string, string>) => fetch(url, { method: 'POST', body: '{}', headers });
  const gone = `${scene.service.url}/hooks/${NOWHERE}`;
  expect((await post(gone, { 'x-vss-subscriptionid': 's' })).status).toBe(410);
  expect((await post(gone, { 'x-gitlab-event': 'Push Hook' })).status).toBe(404);
  const source = await scene.source('terminal');
  const after = await scene.host.commit('terminal', folder({ vlan: 1 }));
  const { sql } = scene.service.database;
  await sql`alter table hook_deliveries rename to hidden`;
  const broken = await postGitLabPush(source.hookUrl, { after });
  expect([broken.status, broken.headers.get('retry-after')]).toEqual([503, '5']);
  // What cannot be noted is refused all the same.
  expect((await postGitLabPush(source.hookUrl, { after }, FORGED)).status).toBe(401);
  await sql`alter table hidden rename to hook_deliveries`;
  const [{ sealed }] = await sql<[{ sealed: string }]>`select webhook_secret_sealed as sealed from sources`;
  await sql`update sources set webhook_secret_sealed = 'unreadable'`;
  expect((await postGitLabPush(source.hookUrl, { after })).status).toBe(503);
  await sql`update sources set webhook_secret_sealed = ${sealed}`;
  expect((await postGitLabPush(source.hookUrl, { after })).status).toBe(202);
});
