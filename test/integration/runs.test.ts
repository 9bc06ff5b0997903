import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Problem } from '../../src/errors.ts';
import { transact } from '../../src/event/transact.ts';
import { newId } from '../../src/ids.ts';
import { createIntegration } from '../../src/integration/changes.ts';
import { type Integration, NO_COUNTS } from '../../src/integration/integration.ts';
import { decideRunEnd } from '../../src/integration/runs/end.ts';
import { blockAfter, noteRun, noteStale, type RunOutcome } from '../../src/integration/runs/note.ts';
import { integrationById } from '../../src/integration/store/services.ts';
import { openTestStore } from '../support/database.ts';

const timeout = new Problem('integration_timeout', 'no answer');
const expired = new Problem('integration_unauthorized', 'the token expired');

describe('when the next run begins', () => {
  const of = (failures: number, error?: unknown, intervalSeconds = 3_600) =>
    decideRunEnd({ intervalSeconds, failures }, error, 0.5).nextInSeconds;

  test('after a success: one interval later, plus or minus a tenth', () => {
    expect(of(3)).toBe(3_600);
    expect(decideRunEnd({ intervalSeconds: 100, failures: 0 }, undefined, 0).nextInSeconds).toBeCloseTo(90);
    expect(decideRunEnd({ intervalSeconds: 100, failures: 0 }, undefined, 0.999).nextInSeconds).toBeCloseTo(110, 0);
  });

  test('after failures: sooner than the interval at first, and never later than it', () => {
    expect([0, 1, 2, 3, 30].map((failures) => of(failures, timeout))).toEqual([22.5, 45, 90, 180, 2_700]);
    expect(of(30, timeout, 60)).toBe(675);
  });

  test('not before the pause that the platform asks for', () => {
    const limited = new Problem('integration_rate_limited', 'slow down', { retryAfterSeconds: 500 });
    expect(of(0, limited)).toBe(525);
    expect(of(6, limited)).toBe(1_440);
  });

  test('never by itself after an error that only a person ends', () => {
    for (const code of ['integration_unauthorized', 'secret_unreadable'] as const)
      expect(decideRunEnd({ intervalSeconds: 60, failures: 0 }, new Problem(code, 'why'))).toEqual({
        ok: false,
        nextInSeconds: null,
        code,
        detail: 'why',
        blockedReason: 'why',
      });
    expect(decideRunEnd({ intervalSeconds: 60, failures: 0 }, new Error('odd'))).toMatchObject({ code: 'internal', blockedReason: null });
  });
});

describe('the end of a run as it is recorded', () => {
  let opened: Awaited<ReturnType<typeof openTestStore>>;
  let integration: Integration;
  beforeAll(async () => {
    opened = await openTestStore();
  });
  afterAll(() => opened.close());
  beforeEach(async () => {
    await opened.database.sql`delete from device_services`;
    integration = await transact(opened.store, (unit) =>
      createIntegration(unit, {
        ...{ organizationId: opened.organizationId, id: newId(), name: 'Field', type: 'shelf', settings: {} },
        ...{ isActive: true, autoSync: true, intervalSeconds: 900, direction: 'import', strategy: 'manual', fields: null, fieldRules: {} },
        ...{ credentialsSealed: null, credentialsHint: {}, hookSecretSealed: null, hookSecretLast4: null },
      }),
    );
    await opened.database.sql`delete from events`;
  });
  const present = async () => (await integrationById(opened.database.sql, integration.id)) ?? expect.fail('it vanished');
  const end = async (outcome: RunOutcome) => {
    const before = await present();
    await transact(opened.store, (unit) => noteRun(unit, before, outcome));
    return present();
  };
  const events = async () =>
    (await opened.database.sql<{ type: string }[]>`select type from events order by cursor`).map(({ type }) =>
      type.replace('integration.', ''),
    );

  test('failures are counted, and one event reports equal ones; a success ends them', async () => {
    await end({ error: timeout });
    await end({ error: timeout });
    expect(await end({ error: new Problem('integration_protocol', 'odd answer') })).toMatchObject({
      failures: 3,
      errorCode: 'integration_protocol',
    });
    expect(await end({ counts: NO_COUNTS })).toMatchObject({ failures: 0, errorCode: null, lastSuccessAt: expect.any(Date) });
    expect(await events()).toEqual(['sync_failed', 'sync_failed', 'synced', 'recovered']);
  });

  test('an expired token blocks once, with one event', async () => {
    expect(await end({ error: expired })).toMatchObject({ blockedReason: 'the token expired', nextRunAt: null });
    await end({ error: expired });
    expect(await blockAfter(opened.store, integration, expired)).toBe(true);
    expect(await blockAfter(opened.store, integration, timeout)).toBe(false);
    expect(await events()).toEqual(['blocked']);
  });

  test('old credentials that are refused do not block the new ones', async () => {
    const before = await present();
    await opened.database.sql`update device_services set credentials_sealed = 'new'`;
    await transact(opened.store, (unit) => noteRun(unit, before, { error: expired }));
    expect(await present()).toMatchObject({ blockedReason: null, errorCode: 'integration_unauthorized', nextRunAt: expect.any(Date) });
    await blockAfter(opened.store, before, expired);
    expect((await present()).blockedReason).toBeNull();
    expect(await events()).toEqual(['sync_failed']);
  });

  test('a run that was refused because of the block, or failed otherwise, does not end the block', async () => {
    await blockAfter(opened.store, integration, expired);
    await end({ error: new Problem('integration_blocked', 'blocked') });
    expect(await present()).toMatchObject({ blockedReason: 'the token expired', failures: 1 });
    await transact(opened.store, (unit) => noteRun(unit, integration, { error: timeout }));
    expect(await present()).toMatchObject({ blockedReason: 'the token expired', nextRunAt: null });
    expect(await events()).toEqual(['blocked']);
  });

  test('credentials that are refused outside a run block as well', async () => {
    await blockAfter(opened.store, integration, expired);
    expect(await present()).toMatchObject({ blockedReason: 'the token expired', errorCode: 'integration_unauthorized', nextRunAt: null });
    expect(await events()).toEqual(['blocked']);
  });

  test('an integration without a success in time is reported once, and again after a recovery', async () => {
    const age = () => opened.database.sql`update device_services set created_at = now() - interval '2 hours', last_success_at = null`;
    const mark = () => transact(opened.store, (unit) => noteStale(unit));
    await age();
    await mark();
    await mark();
    await end({ counts: NO_COUNTS });
    await age();
    await mark();
    expect(await events()).toEqual(['stale', 'synced', 'recovered', 'stale']);
  });

  test('the end of a run whose integration was removed meanwhile is recorded nowhere', async () => {
    const before = await present();
    await opened.database.sql`delete from device_services`;
    await transact(opened.store, (unit) => noteRun(unit, before, { counts: NO_COUNTS }));
    expect(await events()).toEqual([]);
  });
});
