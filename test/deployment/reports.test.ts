import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Deployment } from '../../src/deployment/store.ts';
import type { Device } from '../../src/device/device.ts';
import { newId } from '../../src/ids.ts';
import { decideReports } from '../../src/report/reports.ts';
import type { DeviceDeploymentState, Report } from '../../src/wire/agent.ts';
import { aDevice } from '../support/device.ts';

const OLD = 'a'.repeat(64);
const NEW = 'b'.repeat(64);
const DEPLOYMENT = '01890000-0000-7000-8000-000000000001';

const device = (over: Partial<Device> = {}): Device =>
  aDevice({
    desiredBundle: NEW,
    deploymentId: DEPLOYMENT,
    sequence: 4,
    goodBundle: OLD,
    reportedBundle: OLD,
    syncStatus: 'pending',
    ...over,
  });

function deployment(over: Partial<Deployment> = {}): Deployment {
  return {
    organizationId: 'o',
    id: DEPLOYMENT,
    deviceId: 'd',
    rolloutId: 'r',
    wave: 0,
    revisionId: 'rev',
    bundle: NEW,
    previousBundle: OLD,
    kind: 'change',
    state: 'queued',
    attempt: 1,
    deferredUntil: null,
    deferReason: null,
    maxAttempts: null,
    timeoutSeconds: null,
    errorCode: null,
    errorDetail: null,
    createdAt: new Date(0),
    deliveringAt: null,
    applyingAt: null,
    confirmingAt: null,
    finishedAt: null,
    ...over,
  };
}

let seconds = 0;
const at = () => new Date(Date.UTC(2026, 0, 2) + 1000 * seconds++).toISOString();
const step = (state: DeviceDeploymentState, runningDigest: string | null, code?: string): Report => ({
  id: newId(),
  at: at(),
  kind: 'deployment',
  deploymentId: DEPLOYMENT,
  state,
  runningDigest,
  code,
});
const heartbeat = (runningDigest: string | null, sequence: number, when = at()): Report => ({
  id: newId(),
  at: when,
  kind: 'heartbeat',
  runningDigest,
  sequence,
  agentVersion: '1',
});
const decide = (reports: Report[], d = device(), t = deployment(), stillWanted: string[] = []) =>
  decideReports(d, new Map([[t.id, t]]), reports, 0.5, new Set(stillWanted));

test('each reported step of a successful attempt moves it, and the confirming step is accepted', () => {
  const outcome = decide([step('delivering', OLD), step('applying', OLD), step('confirming', NEW)]);
  expect(outcome.moves.map((move) => move.to)).toEqual(['delivering', 'applying', 'confirming']);
  expect(outcome.confirmed).toEqual([DEPLOYMENT]);
  expect(outcome).toMatchObject({ reportedBundle: NEW, syncStatus: 'updating', good: null, failed: null });
});

test('a success makes the bundle the last good one', () => {
  expect(decide([step('succeeded', NEW)], device(), deployment({ state: 'confirming' }))).toMatchObject({
    good: { bundle: NEW, revisionId: 'rev' },
    syncStatus: 'in_sync',
  });
});

test('an unhealthy bundle fails for good; a failed delivery is retried', () => {
  expect(decide([step('failed', NEW, 'health_check_failed'), step('rolled_back', OLD)])).toMatchObject({
    failed: { bundle: NEW, code: 'health_check_failed' },
    syncStatus: 'rolled_back',
    reportedBundle: OLD,
    moves: [{ to: 'failed', retryInSeconds: null }, { to: 'rolled_back' }],
  });
  expect(decide([step('failed', OLD, 'download_failed')]).moves[0]?.retryInSeconds).toBeGreaterThan(0);
});

test('a failure of a superseded attempt is recorded, and changes no state', () => {
  const [mine, other] = [deployment({ state: 'superseded' }), device({ deploymentId: 'another' })];
  const outcome = decide([step('failed', OLD, 'health_check_failed'), step('rolled_back', OLD)], other, mine);
  expect(outcome).toMatchObject({ moves: [], failed: null, lateFailures: [{ id: DEPLOYMENT, code: 'health_check_failed' }] });
  expect(decide([step('applying', NEW)], other, mine).lateFailures).toEqual([]);
});

test('a superseded attempt is not confirmed, and its reports only update the running bundle', () => {
  const outcome = decide([step('confirming', NEW)], device({ deploymentId: 'another' }), deployment({ state: 'superseded' }));
  expect(outcome).toMatchObject({ moves: [], confirmed: [], reportedBundle: NEW, syncStatus: undefined });
});

test('a repeated confirming report after the success is accepted again', () => {
  expect(decide([step('confirming', NEW)], device({ deploymentId: null }), deployment({ state: 'succeeded' })).confirmed).toEqual([
    DEPLOYMENT,
  ]);
});

test('a device cannot move the attempt of another', () => {
  expect(decide([step('succeeded', NEW)], device(), deployment({ deviceId: 'other' }))).toMatchObject({ moves: [], good: null });
});

test('a device has diverged if it knows the desired bundle and runs another one, with no attempt under way', () => {
  const settled = device({ deploymentId: null, desiredBundle: OLD });
  expect(decide([heartbeat(NEW, 4)], settled).diverged).toBe(true);
  expect(decide([heartbeat(NEW, 3)], settled).diverged).toBe(false);
  expect(decide([heartbeat(OLD, 4)], settled).diverged).toBe(false);
  expect(decide([heartbeat(NEW, 4)], device({ desiredBundle: OLD })).diverged).toBe(false);
  expect(decide([heartbeat(NEW, 4)], device({ deploymentId: null, desiredBundle: OLD, following: false })).diverged).toBe(false);
});

test('a late success of a timed-out attempt counts only if its bundle is still wanted', () => {
  const givenUp = device({ deploymentId: null, desiredBundle: OLD, syncStatus: 'failed' });
  const timedOut = deployment({ state: 'timed_out' });
  const late = step('succeeded', NEW);
  expect(decide([late], givenUp, timedOut, [DEPLOYMENT])).toMatchObject({
    moves: [{ to: 'succeeded' }],
    good: { bundle: NEW, isLate: true },
    syncStatus: 'in_sync',
  });
  expect(decide([late], givenUp, timedOut)).toMatchObject({ moves: [], good: null, syncStatus: undefined, reportedBundle: NEW });
  // A late failure always counts.
  expect(decide([step('failed', OLD, 'interrupted')], givenUp, timedOut)).toMatchObject({ moves: [{ to: 'failed' }] });
});

test('an older heartbeat does not undo newer reports, unless the clock was set back', () => {
  const known = device({ deploymentId: null, desiredBundle: OLD, reportedAt: new Date('2026-01-02T00:10:00Z') });
  expect(decide([heartbeat(NEW, 4, '2026-01-02T00:09:59.000Z')], known)).toMatchObject({ reportedBundle: undefined, diverged: false });
  expect(decide([heartbeat(NEW, 4, '2026-01-02T00:10:01.000Z')], known).diverged).toBe(true);
  expect(decide([heartbeat(NEW, 4, '2026-01-01T00:00:00.000Z')], known).diverged).toBe(true);
});

test('drift is shown until it is repaired', () => {
  const drift = (changed: string[], healed: boolean): Report => ({
    id: newId(),
    at: at(),
    kind: 'drift',
    runningDigest: NEW,
    changed,
    healed,
  });
  const settled = device({ deploymentId: null, syncStatus: 'in_sync' });
  expect(decide([drift(['a'], false)], settled)).toMatchObject({ syncStatus: 'drifted', driftedPaths: ['a'] });
  expect(decide([drift(['a'], true)], settled)).toMatchObject({ syncStatus: undefined, driftedPaths: null });
  expect(decide([drift([], false)], device({ deploymentId: null, syncStatus: 'drifted' }))).toMatchObject({
    syncStatus: 'in_sync',
    driftedPaths: null,
  });
});

test('for any order and repetition of reports, an attempt ends at most once, and a failed bundle is never the good one', () => {
  const state = fc.constantFrom<DeviceDeploymentState>('delivering', 'applying', 'confirming', 'succeeded', 'failed', 'rolled_back');
  fc.assert(
    fc.property(fc.array(state, { maxLength: 12 }), (states) => {
      const outcome = decide(states.map((name) => step(name, name === 'succeeded' ? NEW : OLD)));
      const ends = outcome.moves.filter((move) => move.to === 'succeeded' || move.to === 'failed');
      expect(ends.length).toBeLessThanOrEqual(1);
      expect(outcome.good !== null && outcome.failed !== null).toBe(false);
      expect(outcome.moves.map((move) => move.to).filter((to) => to === 'rolled_back').length).toBeLessThanOrEqual(1);
    }),
  );
});
