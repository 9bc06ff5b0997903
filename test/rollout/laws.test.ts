import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Model } from './model.ts';
import { play } from './play.ts';
import { type Scenario, scenarios } from './scenario.ts';
import { type DeviceSpec, newest, SECOND } from './world.ts';

test('in every scenario no limit is exceeded, no wave opens too early, and every rollout ends', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      play(scenario);
    }),
    { numRuns: Number(process.env.ROLLOUT_RUNS ?? 2_000) },
  );
});

/** A rollout of a fleet of healthy devices with the given differences, and the given actions. */
function rollOut(policy: Scenario['policy'], devices: Partial<DeviceSpec>[], acts: Scenario['acts'] = []): Model {
  const specs = devices.map(
    (device): DeviceSpec => ({
      ...{
        ring: 'wide',
        site: null,
        online: true,
        pushed: false,
        bound: true,
        changed: true,
        fates: ['succeed'],
        beginSeconds: 0,
        runSeconds: 5,
        cpu: [20, 20],
      },
      ...device,
    }),
  );
  return play({ policy, devices: specs, acts }).model;
}

const canary = { ring: 'canary' as const };

/** The devices of each wave. */
function taken({ world, waves }: Model): string[] {
  return waves.map((_, wave) =>
    world.devices
      .filter((device) => newest(device)?.wave === wave)
      .map(({ id }) => id)
      .join(' '),
  );
}

/** The started devices in order, each with its time. */
function started({ starts, createdAt }: Model): string[] {
  return starts.map(({ at, device }) => `${(at - createdAt) / SECOND} s ${device.id}`);
}

describe('which devices start when', () => {
  test('all at once: all devices, including offline ones', () => {
    expect(taken(rollOut({}, [{}, { online: false }, { pushed: true }]))).toEqual(['d00 d01 d02']);
  });

  test('a list, labels, a number, a percentage, and then the rest', () => {
    const waves = [{ devices: ['d03'] }, { selector: { ring: 'canary' } }, { count: 2 }, { upToPercent: 60 }];
    const devices = [canary, {}, {}, {}, {}, canary, {}, {}, {}, {}];
    expect(taken(rollOut({ waves }, devices))).toEqual(['d03', 'd00 d05', 'd01 d02', 'd04', 'd06 d07 d08 d09']);
  });

  test('a device that a later wave names is reserved for that wave', () => {
    const waves = [{ count: 2 }, { upToPercent: 50 }, { selector: { ring: 'canary' } }, { devices: ['d02'] }];
    const devices = [canary, {}, {}, {}, {}, {}];
    expect(taken(rollOut({ waves }, devices))).toEqual(['d01 d03', 'd04', 'd00', 'd02', 'd05']);
  });

  test('a device that several waves name belongs to the first, and one that missed its wave starts with the next naming wave', () => {
    const waves = [{ selector: { ring: 'canary' } }, { devices: ['d00', 'd02'], bakeSeconds: 60 }];
    expect(taken(rollOut({ waves }, [canary, canary, {}, {}]))).toEqual(['d00 d01', 'd02', 'd03']);
    const late = [canary, { ...canary, online: false }, {}, {}];
    expect(taken(rollOut({ waves }, late, [{ afterSeconds: 150, do: 'come_back', device: 1 }]))).toEqual(['d00', 'd01 d02', 'd03']);
  });

  test('a device that gets the label of the open wave starts with it', () => {
    const waves = [{ selector: { ring: 'canary' }, bakeSeconds: 60 }];
    expect(taken(rollOut({ waves }, [canary, {}, {}], [{ afterSeconds: 30, do: 'relabel', device: 2 }]))).toEqual(['d00 d02', 'd01']);
  });

  test('late joiners join, or wait for the end; devices with unchanged files are not touched', () => {
    const devices = [{}, { bound: false }, { changed: false }, {}];
    const join: Scenario['acts'] = [{ afterSeconds: 20, do: 'join', device: 1 }];
    const policy = { waves: [{ count: 1, bakeSeconds: 60 }] };
    expect(started(rollOut(policy, devices, join))).toEqual(['0 s d00', '65 s d01', '65 s d03']);
    expect(started(rollOut({ ...policy, lateJoiners: 'wait' }, devices, join))).toEqual(['0 s d00', '65 s d03', '70 s d01']);
  });
});

describe('how rollouts end', () => {
  test('devices that come online after the end start within the limits', () => {
    const devices = [{}, { online: false }, { online: false }, { online: false }];
    const back = [1, 2, 3].map((device) => ({ afterSeconds: device === 1 ? 30 : 0, do: 'come_back' as const, device }));
    expect(started(rollOut({ maxParallel: 1 }, devices, back))).toEqual(['0 s d00', '30 s d01', '35 s d02', '40 s d03']);
    expect(started(rollOut({ rate: { perMinute: 2 } }, devices, back))).toEqual(['0 s d00', '30 s d01', '60 s d02', '90 s d03']);
  });

  test('a spent budget reverts changed devices, offline ones included, and touches no other device', () => {
    const devices = [{ fates: ['roll_back' as const] }, {}, {}, {}];
    const { state, end, world, starts } = rollOut({ waves: [{ count: 3, bakeSeconds: 60 }] }, devices, [
      { afterSeconds: 4, do: 'go_away', device: 2 },
    ]);
    expect([state, end, starts.length]).toEqual(['reverted', { code: 'error_budget', revert: true }, 3]);
    expect(world.devices.map(({ desired, good }) => [desired, good])).toEqual(Array(4).fill(['old', 'old']));
  });

  test('an abort with stop keeps changed devices, and cancels attempts that no device has begun', () => {
    const devices = [{}, { beginSeconds: 90 }, { runSeconds: 90 }];
    const { state, world } = rollOut({ onAbort: 'stop' }, devices, [{ afterSeconds: 10, do: 'abort', device: 0 }]);
    expect(state).toBe('aborted');
    expect(world.devices.map((device) => [newest(device)?.state, device.good])).toEqual([
      ['succeeded', 'new'],
      ['cancelled', 'old'],
      ['succeeded', 'new'],
    ]);
  });

  test('a newer commit cancels attempts that no device has begun; others end by themselves', () => {
    const devices = [{}, { beginSeconds: 90 }, { runSeconds: 90 }];
    const { state, world } = rollOut({}, devices, [{ afterSeconds: 10, do: 'supersede', device: 0 }]);
    expect([state, ...world.devices.map((device) => newest(device)?.state)]).toEqual(['superseded', 'succeeded', 'cancelled', 'succeeded']);
  });
});
