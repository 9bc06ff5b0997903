import { afterAll, beforeAll, expect, test } from 'vitest';
import { genericCase } from '../cases/webhook-others.ts';
import { SECRET } from '../cases/webhook-rows.ts';
import { openService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
});
afterAll(() => service.close());

test('a repeated hook about another repository is refused again, and checks nothing', async () => {
  const { sql } = service.app.services.store;
  const webhook = { provider: 'generic', secret: SECRET, options: genericCase.options };
  const source = (await service.api('POST', '/sources', { name: 'shared secret', url: genericCase.url, layout: 'repo', webhook })).body;
  // The next check is an hour away, so that an earlier one shows.
  await sql`update sources set next_check_at = now() + interval '1 hour' where id = ${source.id}`;
  const elsewhere = JSON.stringify({ ref: 'main', repository_url: 'https://git.example.com/fleet/gates.git' });
  const post = async () => {
    const response = await fetch(source.hookUrl, { method: 'POST', body: elsewhere, headers: genericCase.headers('', elsewhere) });
    return ((await response.json()) as { outcome: string }).outcome;
  };
  expect([await post(), await post()]).toEqual(['other_repository', 'other_repository']);
  expect(await sql`select id from sources where id = ${source.id} and next_check_at < now() + interval '59 minutes'`).toEqual([]);
});

test('a repeated body of the followed repository is a duplicate, and is checked soon', async () => {
  const { sql } = service.app.services.store;
  const webhook = { provider: 'generic', secret: SECRET, options: genericCase.options };
  const source = (await service.api('POST', '/sources', { name: 'repeated', url: genericCase.url, layout: 'repo', webhook })).body;
  const push = JSON.stringify({ ref: 'main', repository_url: genericCase.url });
  const post = async () => {
    const response = await fetch(source.hookUrl, { method: 'POST', body: push, headers: genericCase.headers('', push) });
    return ((await response.json()) as { outcome: string }).outcome;
  };
  expect(await post()).toBe('accepted');
  await sql`update sources set next_check_at = now() + interval '1 hour' where id = ${source.id}`;
  expect(await post()).toBe('duplicate');
  expect(await sql`select id from sources where id = ${source.id} and next_check_at < now() + interval '1 minute'`).toHaveLength(1);
});
