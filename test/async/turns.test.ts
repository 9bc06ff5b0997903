import { expect, test } from 'vitest';
import { openTurns } from '../../src/async/turns.ts';

/** Opens turns on a manual clock, with a log of the started work. */
function openScene(places: number) {
  let now = 0;
  const turns = openTurns(places, () => now);
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const ask = (name: string, organizationId = name[0] ?? '', id = name, restMs = 0) =>
    turns.run({ organizationId, id }, (rest) => {
      started.push(name);
      rest(restMs);
      return new Promise<string>((resolve) => ends.set(name, () => resolve(name)));
    });
  const end = async (name: string) => {
    ends.get(name)?.();
    // The turn ends a few promises later.
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { ask, end, started, pass: (ms: number) => (now += ms) };
}

test('a single organization uses all places, and the extra place goes to another one', async () => {
  const { ask, started } = openScene(2);
  for (const name of ['a1', 'a2', 'a3']) ask(name);
  expect(started).toEqual(['a1', 'a2']);
  ask('b1');
  expect(started).toEqual(['a1', 'a2', 'b1']);
  ask('c1');
  expect(started).toHaveLength(3);
});

test('organizations take turns regardless of the length of their queues', async () => {
  const { ask, end, started } = openScene(1);
  for (const name of ['a1', 'a2', 'a3', 'a4']) ask(name);
  for (const name of ['b1', 'b2', 'c1']) ask(name);
  expect(started).toEqual(['a1', 'b1']);
  await end('a1');
  expect(started.at(-1)).toBe('c1');
  await end('b1');
  expect(started.at(-1)).toBe('a2');
  await end('c1');
  expect(started.at(-1)).toBe('b2');
});

test('within an organization, the source served longest ago is next', async () => {
  const { ask, end, started, pass } = openScene(1);
  ask('first', 'a', 's1');
  pass(1);
  ask('again', 'a', 's1');
  ask('other', 'a', 's2');
  await end('first');
  expect(started).toEqual(['first', 'other']);
});

test('an organization with heavy work gets one turn at a time beside others, and all turns alone', async () => {
  const { ask, end, started, pass } = openScene(2);
  ask('a1');
  pass(5_000);
  ask('a2');
  expect(started).toEqual(['a1', 'a2']);
  ask('b1');
  await end('a2');
  await end('b1');
  ask('a3');
  expect(started).toEqual(['a1', 'a2', 'b1']);
  await end('a1');
  expect(started.at(-1)).toBe('a3');
  ask('a4');
  expect(started.at(-1)).toBe('a3');
  pass(11 * 60_000);
  ask('a5');
  expect(started.slice(4)).toEqual(['a4']);
});

test('an organization that has to rest begins no turn while others are present', async () => {
  const { ask, end, started, pass } = openScene(2);
  ask('b1');
  ask('a1', 'a', 'a1', 1_000);
  await end('a1');
  ask('a2');
  expect(started).toEqual(['b1', 'a1']);
  await end('b1');
  ask('b2');
  pass(999);
  await end('b2');
  expect(started).toEqual(['b1', 'a1', 'b2']);
  pass(1);
  ask('b3');
  expect(started).toEqual(['b1', 'a1', 'b2', 'a2', 'b3']);
});

test('an organization that is alone does not rest', async () => {
  const { ask, end, started } = openScene(1);
  ask('a1', 'a', 'a1', 1_000);
  await end('a1');
  ask('a2');
  expect(started).toEqual(['a1', 'a2']);
});

test('a turn begins by itself when the rest is over', async () => {
  const turns = openTurns(1);
  await turns.run({ organizationId: 'b', id: 'b' }, async () => undefined);
  await turns.run({ organizationId: 'a', id: 'a' }, async (rest) => rest(20));
  expect(await turns.run({ organizationId: 'a', id: 'a' }, async () => 'begun')).toBe('begun');
});

test('the caller gets the result or error of the work, and the place is free again', async () => {
  const turns = openTurns(1);
  const owner = { organizationId: 'a', id: 's' };
  await expect(turns.run(owner, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(await turns.run(owner, async () => 7)).toBe(7);
});
