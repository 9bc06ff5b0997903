import { afterAll, beforeAll, expect, test } from 'vitest';
import { openService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
});
afterAll(() => service.close());

async function eventsOf(subject: string): Promise<{ type: string; subject: string; data: unknown }[]> {
  const { items } = (await service.api('GET', `/events?subject=${encodeURIComponent(subject)}`)).body;
  return items;
}

test('the answer to a new site is its stored row', async () => {
  const { status, body: site } = await service.api('POST', '/sites', { name: 'Dock' });
  expect([status, site.name]).toEqual([201, 'Dock']);
  const { items } = (await service.api('GET', '/sites')).body;
  expect(items).toEqual([site]);
  const [row] = await service.database.sql<{ createdAt: Date }[]>`select created_at as "createdAt" from sites where id = ${site.id}`;
  expect(site.createdAt).toBe(row?.createdAt.toISOString());
});

test('a new site is an event; a name that is taken is none', async () => {
  const { body: site } = await service.api('POST', '/sites', { name: 'Yard' });
  expect(await eventsOf(`site:${site.id}`)).toMatchObject([{ type: 'site.created', data: { name: 'Yard' } }]);
  expect((await service.api('POST', '/sites', { name: 'Yard' })).status).toBe(409);
  const { items } = (await service.api('GET', '/events?type=site.created&limit=200')).body;
  expect(items.filter(({ data }: { data: { name: string } }) => data.name === 'Yard')).toHaveLength(1);
});

test('enrolment tokens are listed without their secret, and enrol nobody after they are revoked', async () => {
  const { body: minted } = await service.api('POST', '/enrolment-tokens', { uses: 3, labels: { floor: '1' } });
  const { items } = (await service.api('GET', '/enrolment-tokens')).body;
  const listed = items.find(({ id }: { id: string }) => id === minted.id);
  expect(listed).toMatchObject({ usesLeft: 3, labels: { floor: '1' }, siteId: null, reenrol: false, expiresAt: minted.expiresAt });
  expect(minted.token.endsWith(listed.last4)).toBe(true);
  expect(JSON.stringify(items)).not.toContain(minted.token);
  const enrol = (id: string) =>
    fetch(`${service.url}/agent/v1/enroll`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${minted.token}` },
      body: JSON.stringify({ deviceId: id, type: 'till' }),
    });
  expect((await enrol('enrolled-1')).status).toBe(201);
  expect((await service.api('DELETE', `/enrolment-tokens/${minted.id}`)).status).toBe(204);
  expect((await enrol('enrolled-2')).status).toBe(401);
  expect((await service.api('GET', '/devices/enrolled-1')).status).toBe(200);
});

test('the answer to a hold of a site is the stored hold: since the first one, with the words of the last', async () => {
  const { body: site } = await service.api('POST', '/sites', { name: 'Pier' });
  const first = (await service.api('POST', `/sites/${site.id}/hold`, { reason: 'storm' })).body.hold;
  const second = (await service.api('POST', `/sites/${site.id}/hold`, { reason: 'flood' })).body.hold;
  expect(second).toEqual({ at: first.at, by: first.by, reason: 'flood' });
  const [row] = await service.database.sql`select held_at as at, held_by as by, hold_reason as reason from sites where id = ${site.id}`;
  expect(second).toEqual({ ...row, at: row?.at.toISOString() });
});

test('the answer to a hold of a source is the hold that it stored, although the source is released before the answer', async () => {
  const url = 'https://git.example/never-asked.git';
  const { body: source } = await service.api('POST', '/sources', { name: 'held', url, layout: 'repo' });
  // The release in the same statement as the hold's event stands for one that comes between the transaction and the answer.
  await service.database.sql.unsafe(`
    create function release_at_once() returns trigger language plpgsql as $$ begin
      update sources set held_at = null, held_by = null, hold_reason = null where 'source:' || id = new.subject; return null;
    end $$;
    create trigger releasing after insert on events for each row when (new.type = 'source.held') execute function release_at_once()`);
  await service.database
    .sql`update sources set held_at = '2026-01-02T03:04:05Z', held_by = 'night', hold_reason = 'first' where id = ${source.id}`;
  const answer = await service.api('POST', `/sources/${source.id}/hold`, { reason: 'second' });
  expect([answer.status, answer.body]).toEqual([
    200,
    { id: source.id, hold: { at: '2026-01-02T03:04:05.000Z', by: expect.any(String), reason: 'second' } },
  ]);
});

test('a site is renamed, to a name that no other site has', async () => {
  const { body: site } = await service.api('POST', '/sites', { name: 'Old mill' });
  await service.api('POST', '/sites', { name: 'New mill' });
  const taken = await service.api('PATCH', `/sites/${site.id}`, { name: 'New mill' });
  expect([taken.status, taken.body.code]).toEqual([409, 'name_taken']);
  const renamed = await service.api('PATCH', `/sites/${site.id}`, { name: 'Grain mill' });
  expect([renamed.status, renamed.body]).toEqual([200, { ...site, name: 'Grain mill' }]);
  const types = (await eventsOf(`site:${site.id}`)).map(({ type, data }) => [type, data]);
  expect(types).toContainEqual(['site.renamed', { from: 'Old mill', name: 'Grain mill' }]);
});

test('of requests that give sites the same name at the same time, one succeeds', async () => {
  const sites = await Promise.all(
    Array.from({ length: 8 }, async (_, at) => (await service.api('POST', '/sites', { name: `Mill ${at}` })).body),
  );
  const answers = await Promise.all(sites.map(({ id }) => service.api('PATCH', `/sites/${id}`, { name: 'The mill' })));
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
});

test('a site shows its hold and the number of its devices', async () => {
  const { body: site } = await service.api('POST', '/sites', { name: 'Lock' });
  await service.api('POST', '/devices', { id: 'lock-1', siteId: site.id });
  await service.api('POST', `/sites/${site.id}/hold`, { reason: 'ice' });
  const { items } = (await service.api('GET', '/sites?limit=500')).body;
  const shown = items.find(({ id }: { id: string }) => id === site.id);
  expect(shown).toMatchObject({ devices: 1, hold: { reason: 'ice' } });
});

test('a site is deleted once nothing uses it; used-up enrolment tokens do not count', async () => {
  const { body: site } = await service.api('POST', '/sites', { name: 'Weir' });
  await service.api('POST', '/devices', { id: 'weir-1', siteId: site.id });
  const { body: made } = await service.api('POST', '/enrolment-tokens', { siteId: site.id });
  const refused = await service.api('DELETE', `/sites/${site.id}`);
  expect([refused.status, refused.body.code]).toEqual([409, 'site_in_use']);
  expect(refused.body.detail).toContain('it has 1 device, 1 enrolment token;');
  await service.api('PATCH', '/devices/weir-1', { siteId: null });
  await service.database.sql`update enrolment_tokens set uses_left = 0 where id = ${made.id}`;
  expect((await service.api('DELETE', `/sites/${site.id}`)).status).toBe(204);
  expect((await service.api('DELETE', `/sites/${site.id}`)).status).toBe(404);
  expect(await eventsOf(`site:${site.id}`)).toContainEqual(expect.objectContaining({ type: 'site.deleted', data: { name: 'Weir' } }));
});
