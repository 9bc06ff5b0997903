import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '../../src/ids.ts';
import { createLog } from '../../src/log.ts';
import { confirmEarly } from '../../src/report/confirmations.ts';
import { createReportIntake, type ReportIntake } from '../../src/report/intake.ts';
import type { Report } from '../../src/wire/agent.ts';
import { folder, openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

let scene: Awaited<ReturnType<typeof openScene>>;

beforeAll(async () => {
  scene = await openScene();
});

afterAll(() => scene[Symbol.asyncDispose]());

type State = 'delivering' | 'applying' | 'confirming' | 'succeeded';

/** Longer than a test. */
const FOR_EVER_MS = 3_600_000;

/** A device with an open attempt and an intake of its own, which writes only after `gatherMs`. */
async function underWay(id: string, gatherMs = FOR_EVER_MS) {
  const { api, service } = scene;
  const source = await scene.source(id);
  await scene.push(id, source, folder({ vlan: 1 }));
  await api('POST', '/devices', { id, sourceId: source.id });
  const attempts = async () => (await api('GET', `/devices/${id}/deployments`)).body.items;
  const [attempt] = await eventually('an attempt', async () => {
    const items = await attempts();
    return items.length > 0 ? items : undefined;
  });
  const { sql } = service.database;
  const [{ organizationId }] = await sql<[{ organizationId: string }]>`select id as "organizationId" from organizations`;
  const taken: Report[][] = [];
  const intake = createReportIntake(service.app.services.store, () => undefined);
  const recording: ReportIntake = {
    take: (organization, device, reports) => {
      taken.push(reports);
      return intake.take(organization, device, reports);
    },
  };
  const early = confirmEarly(sql, recording, createLog('silent'), gatherMs);
  const step = (state: State, deploymentId: string = attempt.id): Report => ({
    ...{ kind: 'deployment', id: newId(), at: new Date().toISOString(), deploymentId, state },
    runningDigest: state === 'delivering' || state === 'applying' ? null : attempt.bundle,
  });
  const states = async () => {
    const { items } = (await api('GET', `/devices/${id}/events?limit=100`)).body;
    return items.flatMap((event: { type: string; data: { state: string } }) =>
      event.type === 'deployment.state' ? [event.data.state] : [],
    );
  };
  return { attempt, attempts, taken, early, step, states, take: (reports: Report[]) => early.take(organizationId, id, reports) };
}

test('the answer to a confirmation precedes its write; confirmation and success are one write', async () => {
  const { attempt, attempts, take, taken, step, states } = await underWay('quick');
  expect(await take([step('delivering'), step('applying'), step('confirming')])).toEqual([attempt.id]);
  expect([taken.length, (await attempts())[0].state]).toEqual([0, 'queued']);
  await take([step('succeeded')]);
  expect(taken.map((reports) => reports.map((report) => report.kind === 'deployment' && report.state))).toEqual([
    ['delivering', 'applying', 'confirming', 'succeeded'],
  ]);
  const [done] = await attempts();
  expect(done).toMatchObject({ state: 'succeeded' });
  for (const at of ['deliveringAt', 'applyingAt', 'confirmingAt', 'finishedAt']) expect(done[at], at).toMatch(/^\d{4}-/);
  expect((await states()).filter((state: string) => state !== 'queued')).toEqual(['succeeded']);
});

test('a confirmation without a following report is written after a delay, or when the service stops', async () => {
  const slow = await underWay('slow', 20);
  expect(await slow.take([slow.step('confirming')])).toEqual([slow.attempt.id]);
  await eventually('it is written', async () => (await slow.attempts())[0].state === 'confirming');
  const ended = await underWay('ended');
  await ended.take([ended.step('confirming')]);
  await ended.early.close();
  expect((await ended.attempts())[0].state).toBe('confirming');
});

test('an outdated, unknown or other device’s attempt is refused at once', async () => {
  const mine = await underWay('mine');
  const other = await underWay('other');
  expect(await other.take([other.step('confirming', mine.attempt.id)])).toEqual([]);
  expect(await mine.take([mine.step('confirming', 'nonsense')])).toEqual([]);
  expect(await mine.take([mine.step('confirming', newId())])).toEqual([]);
  await scene.service.database.sql`update deployments set state = 'superseded', finished_at = now() where id = ${mine.attempt.id}`;
  expect(await mine.take([mine.step('confirming')])).toEqual([]);
  expect([mine.taken.length, other.taken.length]).toEqual([3, 1]);
});

test('a repeated confirmation is answered again, even after the success', async () => {
  const { attempt, take, step, states } = await underWay('again');
  for (let n = 0; n < 2; n++) expect(await take([step('confirming')])).toEqual([attempt.id]);
  await take([step('succeeded')]);
  expect(await take([step('confirming')])).toEqual([attempt.id]);
  await take([step('succeeded')]);
  expect((await states()).filter((state: string) => state !== 'queued')).toEqual(['succeeded']);
});
