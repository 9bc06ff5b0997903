import { expect, test } from 'vitest';
import { openFlock } from './support.ts';

test('a revision shows the lines of a file with its errors, rejected or not, and no secret', async () => {
  await using flock = await openFlock();
  const { api } = flock;
  const source = await flock.source('till');
  const text = (last: string) =>
    `{\n${Array.from({ length: 30 }, (_, at) => `  "key${at}": ${at},\n`).join('')}  "password": "planted-secret-9",\n  "port": ${last}\n}\n`;
  const good = await flock.push(source, { 'app.json': text('80') });
  const read = async (id: string, query: string) => (await api('GET', `/revisions/${id}/file?${query}`)).body;
  const shown = await read(good.revision, 'path=app.json&line=33');
  expect(shown).toMatchObject({ commit: good.commit, path: 'app.json', content: 'text', first: 23, errors: [] });
  expect(shown.lines).toHaveLength(13);
  expect(shown.lines[10]).toBe('  "port": 80');

  const bad = await flock.push(source, { 'app.json': text('80,') });
  const broken = await read(bad.revision, 'path=app.json&line=34');
  expect(broken).toMatchObject({ content: 'masked', errors: [{ file: 'app.json', line: expect.any(Number) }] });
  expect(broken.lines).toContain('  "port": ••,');
  expect(JSON.stringify([shown, broken])).not.toContain('planted-secret');
  expect((await api('GET', `/revisions/${bad.revision}/file?path=no/such`)).status).toBe(404);
}, 300_000);
