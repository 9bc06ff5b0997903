import { describe, expect, test } from 'vitest';
import { outline, type PlanDevice, type PlanFacts, type PlanFolder } from '../../src/plan/plan.ts';
import type { ConfigError } from '../../src/revision/revision.ts';

const NOW = new Date('2026-06-01T12:00:00Z');
const fault = (message: string): ConfigError => ({ code: 'schema', file: 'a.json', pointer: '/vlan', rule: 'maximum', message });

function aDevice(over: Partial<PlanDevice> = {}): PlanDevice {
  const still = { following: true, held: false, heldUntilNewer: false, siteHeld: false, reachable: true };
  return {
    id: 'till',
    path: 'till',
    labels: {},
    siteId: null,
    ...still,
    desiredBundle: 'old',
    runningBundle: 'old',
    quarantinedBundle: null,
    ...over,
  };
}

function aFolder(after: Partial<PlanFolder['after']> = {}, over: Partial<PlanFolder> = {}): PlanFolder {
  const before = { verdict: 'valid' as const, messages: [] };
  return {
    path: 'till',
    released: 'old',
    candidate: 'old',
    isReleased: true,
    before,
    after: { verdict: 'valid', bundle: 'new', errors: [], ...after },
    ...over,
  };
}

function seen(facts: Partial<PlanFacts>) {
  const plain = { layout: 'fleet' as const, allOrNothing: false, errors: [], policy: {}, blockers: [] };
  return outline({ ...plain, folders: [aFolder()], devices: [aDevice()], ...facts }, NOW);
}

const only = (facts: Partial<PlanFacts>) => seen(facts).devices[0];

test('a device with a changed folder is in its wave', () => {
  expect(only({})).toMatchObject({ change: 'changed', verdict: 'valid', wave: 0, blockers: [], from: 'old', to: 'new' });
  expect(only({ devices: [aDevice({ desiredBundle: null, runningBundle: null })] })).toMatchObject({ change: 'added', wave: 0 });
  expect(only({ folders: [aFolder({ bundle: 'old' })] })).toMatchObject({ change: 'unchanged', wave: null, from: 'old', to: 'old' });
});

test('a commit that changes no folder starts no rollout, even if devices are out of date', () => {
  const behind = aDevice({ desiredBundle: 'older', runningBundle: 'older' });
  expect(only({ folders: [aFolder({ bundle: 'old' })], devices: [behind] })).toMatchObject({ change: 'unchanged', wave: null });
  const other = aFolder({}, { path: 'other' });
  expect(only({ folders: [aFolder({ bundle: 'old' }), other], devices: [behind] })).toMatchObject({
    change: 'changed',
    wave: 0,
    to: 'old',
  });
});

test.each([
  ['stopped', { following: false }],
  ['held', { held: true }],
  ['site_held', { siteHeld: true }],
  ['quarantined', { quarantinedBundle: 'new' }],
] as const)('a device that is %s changes in no wave', (code, over) => {
  expect(seen({ devices: [aDevice(over)] })).toMatchObject({
    devices: [{ change: 'changed', wave: null, blockers: [code] }],
    summary: { blocked: 1 },
  });
});

test('a hold until a newer revision ends with the next revision', () => {
  const held = aDevice({ held: true, heldUntilNewer: true });
  expect(only({ devices: [held] })).toMatchObject({ wave: 0, blockers: [] });
});

test('an offline device counts as changed', () => {
  expect(seen({ devices: [aDevice({ reachable: false })] })).toMatchObject({
    devices: [{ wave: 0, blockers: ['offline'] }],
    summary: { blocked: 0 },
  });
});

test('a device of a removed folder keeps its bundle', () => {
  expect(only({ folders: [aFolder({ verdict: 'missing', bundle: null })] })).toMatchObject({
    change: 'removed',
    verdict: 'missing',
    to: 'old',
  });
  const long = aFolder({ verdict: 'missing', bundle: null }, { before: { verdict: 'missing', messages: [] } });
  expect(only({ folders: [long] })).toMatchObject({ change: 'unchanged' });
});

describe('an invalid folder', () => {
  const bad = aFolder({ verdict: 'invalid', bundle: null, errors: [fault('too much')] });
  const good = aFolder({}, { path: 'other' });

  test('blocks its own devices, and no others', () => {
    const found = seen({ folders: [bad, good], devices: [aDevice(), aDevice({ id: 'other', path: 'other' })] });
    expect(found.verdict).toBe('partial');
    expect(found.devices).toMatchObject([
      { change: 'unchanged', verdict: 'invalid', wave: null, blockers: ['validation'] },
      { change: 'changed', wave: 0, blockers: [] },
    ]);
    expect(found.faulty).toEqual([bad]);
  });

  test('blocks all devices, if the source is set to all or nothing', () => {
    const found = seen({ allOrNothing: true, folders: [bad, good], devices: [aDevice({ id: 'other', path: 'other' })] });
    expect(found.verdict).toBe('invalid');
    expect(found.devices).toMatchObject([{ change: 'unchanged', wave: null, blockers: ['validation'] }]);
  });

  test('with the same errors as before does not count against the commit', () => {
    const known = { ...bad, before: { verdict: 'invalid' as const, messages: ['too much'] } };
    expect(seen({ folders: [known, good] })).toMatchObject({ verdict: 'partial', faulty: [] });
    const worse = { ...bad, before: { verdict: 'invalid' as const, messages: ['something else'] } };
    expect(seen({ folders: [worse, good] }).faulty).toEqual([worse]);
  });

  test('does not matter if the whole commit is invalid: no device changes', () => {
    const folders = [aFolder({ verdict: 'invalid', bundle: null })];
    expect(seen({ errors: [fault('no fleet')], folders })).toMatchObject({
      verdict: 'invalid',
      devices: [{ change: 'unchanged', blockers: ['validation'] }],
    });
  });
});

test('the plan lists the blockers of its rollout, and none if no rollout would start', () => {
  const policy = {
    windows: { timeZone: 'UTC', notBefore: '2026-07-01T00:00:00Z' },
    approval: { beforeRollout: true, fourEyes: false },
    waves: [{ name: 'canary', count: 1, approval: true, bakeSeconds: 60 }],
  };
  const blockers = [{ code: 'source_held', detail: 'held', until: null }];
  const found = seen({ policy, blockers });
  expect(found.blockers.map(({ code }) => code)).toEqual(['source_held', 'window_closed', 'approval']);
  expect(found.blockers[1]?.until).toEqual(new Date('2026-07-01T00:00:00Z'));
  expect(found.waves).toEqual([
    { wave: 0, name: 'canary', devices: 1, quarantined: 0, approval: true, bakeSeconds: 60, stop: null },
    { wave: 1, name: 'rest', devices: 0, quarantined: 0, approval: false, bakeSeconds: 0, stop: null },
  ]);
  expect(seen({ policy, blockers, folders: [aFolder({ bundle: 'old' })] }).blockers).toEqual([]);
});
