import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCommit } from '../../src/git/pack/commit.ts';
import { openLocal } from '../../src/git/protocol/local.ts';
import { git } from '../support/git-host.ts';

const TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const AT = '1700000000 +0000';
const read = (text: string | Buffer) => parseCommit('0'.repeat(40), Buffer.from(text));
const commit = (lines: string[], message = 'message\n') => read(`${[`tree ${TREE}`, ...lines].join('\n')}\n\n${message}`);
const by = (who: string) => commit([`author ${who}`, `committer ${who}`]);

describe('what a committer line may look like', () => {
  test.each<[string, string, object]>([
    [
      'an ordinary one',
      `Ada <ada@example.com> ${AT}`,
      { author: { name: 'Ada', email: 'ada@example.com' }, committedAt: new Date(1.7e12) },
    ],
    ['a zone of three digits', 'A <a@b> 1288373970 --700', { committedAt: new Date(1288373970_000) }],
    ['nested brackets', 'A <a <b@c>> 1 +0000', { author: { name: 'A', email: 'a <b@c' }, committedAt: new Date(1000) }],
    ['no time', 'A <a@b>', { author: { name: 'A', email: 'a@b' }, committedAt: new Date(0) }],
    ['no zone', 'A <a@b> 1700000000', { committedAt: new Date(1.7e12) }],
    ['a time of words', 'A <a@b> yesterday +0000', { committedAt: new Date(0) }],
    ['milliseconds', 'A <a@b> 1700000000000 +0000', { committedAt: new Date('9999-12-31T23:59:59Z') }],
    ['the year 11476', 'A <a@b> 300000000000 +0000', { committedAt: new Date('9999-12-31T23:59:59Z') }],
    ['more than a number holds', `A <a@b> ${'9'.repeat(400)} +0000`, { committedAt: new Date('9999-12-31T23:59:59Z') }],
    ['a time before 1970', 'A <a@b> -1 +0000', { committedAt: new Date(0) }],
    ['no address', 'Ada Lovelace', { author: { name: 'Ada Lovelace', email: '' }, committedAt: new Date(0) }],
    ['no name', `<a@b> ${AT}`, { author: { name: '', email: 'a@b' } }],
    ['an address that does not end', `A <a@b ${AT}`, { author: { name: `A <a@b ${AT}`, email: '' } }],
    ['nothing', '', { author: { name: '', email: '' } }],
    ['a NUL and a bell', `A\0B\u0007 <a@b> ${AT}`, { author: { name: 'A B', email: 'a@b' } }],
  ])('%s', (_what, who, expected) => {
    expect(by(who)).toMatchObject({ tree: TREE, message: 'message\n', ...expected });
  });

  test('a commit without people or message is read', () => {
    expect(commit([], '')).toMatchObject({ tree: TREE, parents: [], author: { name: '', email: '' }, message: '' });
    expect(read(`tree ${TREE}`)).toMatchObject({ tree: TREE, message: '' });
    expect(commit([`author A <a@b> ${AT}`])).toMatchObject({ committedAt: new Date(1.7e12), author: { name: 'A' } });
  });

  test('texts are bounded', () => {
    const long = commit([`author ${'n'.repeat(9_000)} <${'m'.repeat(9_000)}> ${AT}`], 'x'.repeat(1_000_000));
    expect([long.author.name.length, long.author.email.length, long.message.length]).toEqual([255, 320, 16_384]);
  });

  test('text in another encoding is read in it, and unknown bytes never make half a character', () => {
    const whole = (encoding: string, bytes: Buffer) =>
      read(
        Buffer.concat([
          Buffer.from(`tree ${TREE}\nauthor `),
          bytes,
          Buffer.from(` <a@b> ${AT}\ncommitter A <a@b> ${AT}\n${encoding}\n`),
          bytes,
        ]),
      );
    const latin = Buffer.from('M\xfcller', 'latin1');
    expect(whole('', latin)).toMatchObject({ author: { name: 'Müller' }, message: 'Müller' });
    expect(whole('encoding ISO-8859-1\n', latin)).toMatchObject({ author: { name: 'Müller' }, message: 'Müller' });
    expect(whole('encoding no-such-thing\n', latin)).toMatchObject({ author: { name: 'Müller' } });
    expect(whole('encoding UTF-16\n', Buffer.from('Müller'))).toMatchObject({ author: { name: 'Müller' } });
    expect(whole('encoding Shift_JIS\n', Buffer.from([0x93, 0xfa, 0x96, 0x7b]))).toMatchObject({
      author: { name: '日本' },
      message: '日本',
    });
    expect(commit([], `${'x'.repeat(16_383)}😀`).message.isWellFormed()).toBe(true);
  });
});

describe('what decides', () => {
  const parent = 'a'.repeat(40);

  test('signatures, merged tags and unknown headers do not', () => {
    const found = commit([
      `parent ${parent}`,
      `author A <a@b> ${AT}`,
      `committer A <a@b> ${AT}`,
      `mergetag object ${parent}`,
      ' type commit',
      ' tagger T <t@t> 1 +0000',
      ' ',
      ' tree of life',
      'gpgsig -----BEGIN PGP SIGNATURE-----',
      ' ',
      ' author nobody',
      ' -----END PGP SIGNATURE-----',
      'x-unknown author C <c@d> 2 +0000',
      'change-id kwulvqpm',
      `parent ${'b'.repeat(40)}`,
    ]);
    expect(found).toMatchObject({ parents: [parent], author: { name: 'A', email: 'a@b' }, committedAt: new Date(1.7e12) });
  });

  test.each([
    ['no tree', `author A <a@b> ${AT}\n\nx`],
    ['a tree further down', `author A <a@b> ${AT}\ntree ${TREE}\n\nx`],
    ['a short tree', `tree ${TREE.slice(1)}\n\nx`],
    ['a short parent', `tree ${TREE}\nparent abc\n\nx`],
    ['nothing at all', ''],
  ])('%s does', (_what, text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'git_object_invalid' }));
  });
});

describe('equals git', () => {
  let root = '';
  let repository = '';
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'bellwether-commits-'));
    repository = join(root, 'x.git');
    await git(root, ['init', '--quiet', '--bare', repository]);
    await git(repository, ['hash-object', '-t', 'tree', '-w', '--stdin'], '');
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  async function store(type: string, bytes: Buffer): Promise<string> {
    const whole = Buffer.concat([Buffer.from(`${type} ${bytes.length}\0`), bytes]);
    const oid = createHash('sha1').update(whole).digest('hex');
    await mkdir(join(repository, 'objects', oid.slice(0, 2)), { recursive: true });
    await writeFile(join(repository, 'objects', oid.slice(0, 2), oid.slice(2)), deflateSync(whole));
    return oid;
  }

  const word = fc.constantFrom('Ada', ' ', '<', '>', 'a@b', '1', '1700000000', '+0000', '--700', '-0', '\t', 'é', '"', '.');
  const person = fc.oneof(
    fc.array(word, { maxLength: 8 }).map((words) => words.join('')),
    fc.tuple(fc.array(word, { maxLength: 3 }), fc.nat(2_000_000_000)).map(([words, at]) => `${words.join('')} <a@b> ${at} +0000`),
  );
  const header = fc.constantFrom('author', 'committer', 'x-note', 'gpgsig sig\n ', 'encoding', 'parent');

  test('for random headers, in tree, parents, author and time', async () => {
    const texts = fc
      .sample(fc.tuple(fc.array(fc.tuple(header, person), { maxLength: 5 }), fc.boolean()), 300)
      .map(([headers, isOrdinary]) => {
        const lines = headers.map(([key, value]) => (key === 'parent' ? `parent ${'c'.repeat(40)}` : `${key} ${value}`));
        const all = isOrdinary ? [...lines, `author A <a@b> ${AT}`, `committer A <a@b> ${AT}`] : lines;
        return `tree ${TREE}\n${all.join('\n')}\n\nhello\n`;
      });
    const written = new Map<string, string>();
    for (const text of texts) written.set(await store('commit', Buffer.from(text)), text);
    const oids = [...written.keys()].join('\n');
    const printed = await git(
      repository,
      ['log', '--no-walk=unsorted', '--stdin', '--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%ct%x01'],
      oids,
    );
    const source = await openLocal(repository);
    const records = printed.toString().split('\x01').slice(0, -1);
    expect(records).toHaveLength(written.size);
    for (const record of records) {
      const [oid = '', tree, parents = '', name = '', email = '', at = ''] = record.trimStart().split('\0');
      const found = await source.readCommit(oid);
      const text = written.get(oid);
      expect([found.tree, found.parents.join(' ')], text).toEqual([tree, parents]);
      // A tab in a name becomes a space. Git prints nobody where a line has no address, and no time where it has no zone; there we keep what the line has.
      if (email !== '' || name !== '') expect([found.author.email, found.author.name], text).toEqual([oneLine(email), oneLine(name)]);
      if (at !== '') expect(found.committedAt.getTime(), text).toBe(Number(at) * 1000);
    }
  });

  function oneLine(text: string): string {
    return text.replace(/\t+/g, ' ').trim();
  }

  test.each([
    '100644',
    '100755',
    '100664',
    '100600',
    '100777',
    '100711',
    '100654',
    '104755',
    '0100644',
    '0100755',
    '40000',
    '040000',
    '40755',
    '120000',
    '120777',
    '160000',
    '644',
    '60644',
    '10644',
  ])('for the mode %s of a tree', async (mode) => {
    const blob = (await git(repository, ['hash-object', '-w', '--stdin'], 'x')).toString().trim();
    const oid = await store('tree', Buffer.concat([Buffer.from(`${mode} x\0`), Buffer.from(blob, 'hex')]));
    const told = (await git(repository, ['ls-tree', oid])).toString().split(' ')[0];
    expect((await (await openLocal(repository)).readTree(oid))[0]?.mode).toBe(told);
  });
});
