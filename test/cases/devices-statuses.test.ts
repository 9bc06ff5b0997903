import { expect, test } from 'vitest';
import { postPauseSeconds, progressPauseSeconds } from '../../src/plan/post/rollout-status.ts';

/** What a host keeps of one commit and context (GitHub); the last, deciding status must still be taken. */
const HOST_LIMIT = 1_000;

type State = 'planned' | 'running' | 'paused' | 'completed' | 'aborted';
type Seen = { atSeconds: number; state: State; word: 'pending' | 'running' | 'success' | 'failure'; description: string };

/** Posts what the reconciler would, each time that something is to be seen. */
function post(seen: Iterable<Seen>): { atSeconds: number; word: string; description: string }[] {
  const posted: { atSeconds: number; word: Seen['word']; description: string }[] = [];
  for (const { atSeconds, state, word, description } of seen) {
    const last = posted.at(-1);
    if (last?.word === word && last.description === description) continue;
    const told = last === undefined ? undefined : { state: last.word, postedAt: new Date(last.atSeconds * 1000) };
    const pause = postPauseSeconds({ state }, { state: word, description }, told, posted.length);
    if (last === undefined || atSeconds - last.atSeconds >= pause) posted.push({ atSeconds, word, description });
  }
  return posted;
}

test.each([
  ['four hours', 4 * 3_600],
  ['a week', 7 * 86_400],
])('a rollout of %s whose numbers change each second posts some dozens, and its end at once', (_what, seconds) => {
  function* run(): Generator<Seen> {
    yield { atSeconds: 0, state: 'planned', word: 'pending', description: 'waiting' };
    for (let at = 1; at < seconds; at += 1) yield { atSeconds: at, state: 'running', word: 'running', description: `${at} devices` };
    yield { atSeconds: seconds, state: 'completed', word: 'success', description: 'completed' };
  }
  const posted = post(run());
  expect(posted.length).toBeLessThan(50);
  expect(posted.length).toBeGreaterThan(15);
  expect(posted.at(-1)).toMatchObject({ atSeconds: seconds, word: 'success' });
  // People see the beginning as it happens.
  expect(posted.filter(({ atSeconds }) => atSeconds < 60).length).toBeGreaterThan(7);
});

test('a commit whose rollout is started again without end stays below the limit, and each end is posted', () => {
  function* run(): Generator<Seen> {
    for (let at = 0; at < 300 * 60; at += 60) {
      for (let second = 0; second < 59; second += 1)
        yield { atSeconds: at + second, state: second % 2 === 0 ? 'paused' : 'running', word: 'running', description: `${at} ${second}` };
      yield { atSeconds: at + 59, state: 'aborted', word: 'failure', description: `aborted ${at}` };
    }
  }
  const posted = post(run());
  expect(posted.length).toBeLessThan(HOST_LIMIT * 0.7);
  expect(posted.filter(({ word }) => word === 'failure')).toHaveLength(300);
});

test('the pause is always a number of seconds that a database takes', () => {
  for (const posts of [0, 8, 9, 40, 300, 10_000]) expect(progressPauseSeconds(posts)).toBeLessThanOrEqual(30 * 86_400);
});
