import fc from 'fast-check';
import { expect, test } from 'vitest';
import { blameLines } from '../../src/preview/blame.ts';
import { eventually } from '../support/service.ts';
import { openFlock } from './support.ts';

const versions = (...texts: string[]) => texts.map((text, at) => ({ lines: text.split(''), by: at }));

test.each([
  [['abc', 'abc'], false, [null, null, null]],
  [['abc', 'abc'], true, [1, 1, 1]],
  [['axc', 'abc'], false, [null, 0, null]],
  [['xabc', 'abc', 'ac'], true, [0, 2, 1, 2]],
  [['ab', 'b', 'ab'], false, [0, null]],
  [['', 'abc'], true, []],
])('the newest version first, %j: complete %j', (texts, isComplete, expected) => {
  expect(blameLines(versions(...texts), isComplete)).toEqual(expected);
});

test('each line has a version that has it, and whose predecessor lacks one of its kind', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 6 });
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 5 }), (texts) => {
      const given = texts.map((lines, by) => ({ lines, by }));
      const blamed = blameLines(given, true);
      expect(blamed).toHaveLength(texts[0]?.length ?? 0);
      for (const [at, by] of blamed.entries()) for (let v = 0; v <= (by ?? 0); v += 1) expect(texts[v]).toContain(texts[0]?.[at]);
    }),
  );
});

test('a device shows its desired and running files, and who changed each line, without a secret', async () => {
  await using flock = await openFlock();
  const { api } = flock;
  const source = await flock.source('till');
  await flock.device('a', { sourceId: source.id });
  const file = (port: number, password: string) => JSON.stringify({ host: 'h', port, password }, null, 2);
  await flock.push(source, { 'app.json': file(80, 'hidden-secret-1') }, 'Ada Author <ada@example.com>');
  await flock.answer('a', null);
  await flock.rollout(source, 'completed');
  const second = await flock.push(source, { 'app.json': file(443, 'hidden-secret-1') }, 'Bob Builder <bob@example.com>');

  await flock.answer('a', null);
  await flock.rollout(source, 'completed');
  const blame = (await api('GET', '/devices/a/files/blame?path=app.json')).body;
  expect(blame.lines.map(({ text }: { text: string }) => text)).toEqual([
    '{',
    '  "host": "h",',
    '  "port": 443,',
    expect.stringContaining('"password"'),
    '}',
  ]);
  expect(blame).toMatchObject({
    commits: [{ commit: second.commit, author: { name: 'Bob Builder' } }],
    truncated: false,
    olderThan: expect.any(String),
  });
  expect(blame.lines.map(({ commit }: { commit: number | null }) => commit)).toEqual([null, null, 0, null, null]);
  expect((await api('GET', '/devices/a/files/blame?path=no-such')).status).toBe(404);

  await flock.push(source, { 'app.json': file(8443, 'hidden-secret-2') });
  const files = await eventually('the next attempt waits', async () => {
    const { body } = await api('GET', '/devices/a/files');
    return body.diff.length > 0 ? body : undefined;
  });
  expect(files.desired.files).toMatchObject([{ path: 'app.json', text: expect.stringContaining('"port": 8443,') }]);
  expect(files.running.files).toMatchObject([{ path: 'app.json', text: expect.stringContaining('"port": 443,') }]);
  expect(JSON.stringify([blame, files])).not.toContain('hidden-secret');
}, 300_000);
