import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createHookRecorder, type RecordHook } from '../../src/hook/record.ts';
import type { HookRecord } from '../../src/source/deliveries-store.ts';
import { openService, type TestService } from '../support/service.ts';

const EXPECT = { commit: null, seconds: 60 };
/** Hooks of a source that are recorded at once before it is a flood, and the same of an organization. Some more are while the test runs. */
const [SOURCE_BURST, ORGANIZATION_BURST] = [40, 500];

let service: TestService;
let record: RecordHook;
beforeAll(async () => {
  service = await openService({ ROLE: 'api' });
});
beforeEach(() => {
  record = createHookRecorder(service.database.sql);
});
afterAll(() => service.close());

async function createSource(name: string): Promise<HookRecord> {
  const { body } = await service.api('POST', '/sources', { name, url: `https://example.com/${name}.git`, layout: 'repo' });
  const [row] = await service.database.sql<{ organizationId: string }[]>`
    update sources set next_check_at = now() + interval '1 hour' where id = ${body.id} returning organization_id as "organizationId"`;
  return {
    ...{ organizationId: row?.organizationId ?? '', sourceId: body.id, deliveryId: 'd', provider: 'gitlab', event: 'push' },
    ...{ ref: 'refs/heads/main', commitOid: 'a'.repeat(40), beforeOid: null, repeats: 'always', verdict: 'accepted', detail: null },
  };
}

const numbered = (hook: HookRecord, count: number) => Array.from({ length: count }, (_, n) => ({ ...hook, deliveryId: `d${n}` }));
const recordAll = (hooks: readonly HookRecord[]) => Promise.all(hooks.map((hook) => record(hook, EXPECT)));

/** How many deliveries of the sources each transaction recorded, the largest first. */
async function transactionsOf(hooks: readonly HookRecord[]): Promise<number[]> {
  const ids = [...new Set(hooks.map(({ sourceId }) => sourceId))];
  const rows = await service.database.sql<{ count: number }[]>`
    select count(*)::int as count from hook_deliveries where source_id = any(${ids}::uuid[]) group by xmin::text order by count desc`;
  return rows.map(({ count }) => count);
}

test('hooks of a source that sends many are recorded in one transaction, and it becomes due', async () => {
  const hook = await createSource('flooded');
  const hooks = numbered(hook, SOURCE_BURST + 60);
  const recorded = await recordAll(hooks);
  expect(recorded.every(({ isFresh }) => isFresh)).toBe(true);
  expect(recorded.slice(0, SOURCE_BURST).some(({ isGathered }) => isGathered)).toBe(false);
  const gathered = recorded.filter(({ isGathered }) => isGathered).length;
  expect(gathered).toBeGreaterThan(30);
  expect(await transactionsOf(hooks)).toEqual([gathered, ...Array.from({ length: hooks.length - gathered }, () => 1)]);
  expect(await service.database.sql`select 1 from sources where id = ${hook.sourceId} and next_check_at <= now()`).toHaveLength(1);
});

test('during a flood each hook is recorded together with others, also those within the rate', async () => {
  const hook = await createSource('steady');
  await recordAll(numbered(hook, 2 * SOURCE_BURST));
  expect(await record({ ...hook, deliveryId: 'later' }, EXPECT)).toEqual({ isFresh: true, isGathered: true });
});

test('a flood of one source leaves the hooks of others alone', async () => {
  const [flooded, quiet] = [await createSource('loud'), await createSource('quiet')];
  const flood = recordAll(numbered(flooded, 2 * SOURCE_BURST));
  expect(await record(quiet, EXPECT)).toEqual({ isFresh: true, isGathered: false });
  await flood;
});

test('a flood over many sources of one organization is recorded together too', async () => {
  const sources: HookRecord[] = [];
  for (let n = 0; n < 15; n++) sources.push(await createSource(`one-of-many-${n}`));
  const hooks = sources.flatMap((hook) => numbered(hook, SOURCE_BURST));
  const recorded = await recordAll(hooks);
  expect(recorded.every(({ isFresh }) => isFresh)).toBe(true);
  expect(recorded.slice(0, ORGANIZATION_BURST).some(({ isGathered }) => isGathered)).toBe(false);
  const gathered = recorded.filter(({ isGathered }) => isGathered).length;
  expect(gathered).toBeGreaterThan(1);
  expect((await transactionsOf(hooks))[0]).toBe(gathered);
});

test('of hooks that are recorded together, a repeated one counts once, and one that cannot be recorded refuses itself alone', async () => {
  const hook = await createSource('mixed');
  const flood = recordAll(numbered(hook, 2 * SOURCE_BURST));
  const named = (deliveryId: string, detail: string | null = null) => record({ ...hook, deliveryId, detail }, EXPECT);
  const [repeated, first, second, broken, after] = await Promise.allSettled(
    [named('d0'), named('new'), named('new'), named('broken', 'with \0'), named('after')].map(async (each) => (await each).isFresh),
  );
  const flooded = (await flood).map(({ isFresh }) => isFresh);
  // After the error each hook has its own transaction, in any order.
  const fresh = { status: 'fulfilled', value: true };
  const counted = { status: 'fulfilled', value: false };
  expect([first, second]).toEqual(expect.arrayContaining([fresh, counted]));
  expect([repeated, { status: 'fulfilled', value: flooded[0] }]).toEqual(expect.arrayContaining([fresh, counted]));
  expect(broken).toMatchObject({ status: 'rejected' });
  expect(after).toEqual(fresh);
  expect(flooded.slice(1).every(Boolean)).toBe(true);
});
