import { expect, test } from 'vitest';
import type { RemoteDevice } from '../../src/integration/provider.ts';
import { trueTimes } from '../../src/sync/read/times.ts';
import { openScene } from './support.ts';

const NOW = Date.UTC(2026, 11, 1);
const base: RemoteDevice = {
  ...{ externalId: 'a', identities: [], values: {}, connectivity: 'unknown', details: {} },
  ...{ lastSeenAt: null, updatedAt: null },
};
const at = (text: string) => new Date(text);

test.each<[string, string | null, string | null]>([
  ['2026-11-30T00:00:00Z', '2026-11-30T00:00:00.000Z', '2026-11-30T00:00:00.000Z'],
  ['2026-12-01T00:01:00Z', '2026-12-01T00:00:00.000Z', '2026-12-01T00:01:00.000Z'],
  ['2099-01-01T00:00:00Z', '2026-12-01T00:00:00.000Z', null],
  ['+055840-01-01T00:00:00Z', null, null],
  ['0001-01-01T00:00:00Z', null, null],
  ['0000-01-01T00:00:00Z', null, null],
])('a device that a platform shows at %s was seen at %s and changed at %s', (time, seen, changed) => {
  const { lastSeenAt, updatedAt } = trueTimes({ ...base, lastSeenAt: at(time), updatedAt: at(time) }, NOW);
  expect([lastSeenAt?.toISOString() ?? null, updatedAt?.toISOString() ?? null]).toEqual([seen, changed]);
});

test('a verdict keeps its time, unless the database cannot read it', () => {
  const verdictAt = (text: string) => trueTimes({ ...base, verdict: { status: 'in_sync', at: at(text), errors: [] } }, NOW).verdict?.at;
  expect(verdictAt('2099-01-01T00:00:00Z')).toEqual(at('2099-01-01T00:00:00Z'));
  expect(verdictAt('+055840-01-01T00:00:00Z')).toBeNull();
});

test('a device with an impossible time is synced with the others, and its edit does not win by a clock that is ahead', async () => {
  const { service, depot, sync, settle, close } = await openScene({ direction: 'both', strategy: 'newest_wins' }, 3);
  try {
    depot.change('x00001', { lastSeenAt: '+055840-01-01T00:00:00Z' });
    depot.change('x00002', { lastSeenAt: '2099-01-01T00:00:00Z' });
    expect(await sync()).toMatchObject({ status: 'succeeded', details: { created: 3 } });
    const seenAt = async (id: string) => (await service.api('GET', `/devices/${id}`)).body.lastSeenAt;
    expect(await seenAt('till-1')).toBeNull();
    expect(Date.parse(await seenAt('till-2'))).toBeLessThanOrEqual(Date.now());

    depot.change('x00003', { room: 'there' }).updatedAt = '2099-01-01T00:00:00Z';
    await service.api('PATCH', '/devices/till-3', { attributes: { room: 'here' } });
    expect((await sync()).details).toMatchObject({ conflicts: 1, resolved: 0 });
    await settle();
    expect(depot.all.get('x00003')?.room).toBe('there');
    expect((await service.api('GET', '/devices/till-3')).body.integrationMetadata.attributes.room).toBe('here');
  } finally {
    await close();
  }
});
