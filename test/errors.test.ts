import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { problemDocument } from '../src/http/kit.ts';
import { CONFIG_ERRORS, DEPLOYMENT_ERRORS, ERROR_GROUPS, ERRORS, retryOfDeployment } from '../src/wire/errors.ts';
import { isAbout, isProblem, Problem, retryOf, reworded } from '../src/wire/problem.ts';
import { errorsPage } from './support/errors-page.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TABLE = 'src/wire/errors.ts';

async function sources(): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const side of ['src', 'controller', 'agent', 'bench'])
    for (const entry of await readdir(join(ROOT, side), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && path.endsWith('.ts') && path !== join(ROOT, TABLE))
        texts.set(path.slice(ROOT.length), await readFile(path, 'utf8'));
    }
  return texts;
}

/** Code and options of every Problem that the sources make. The bracket that closes the call is found by counting. */
function* problemsIn(text: string): Generator<{ code: string; call: string }> {
  for (const match of text.matchAll(/(?:new Problem|gitProblem|forgeProblem|conflict)\(\s*'(\w+)'/g)) {
    const from = match.index + match[0].indexOf('(');
    let depth = 0;
    let to = from;
    do {
      if (text[to] === '(') depth += 1;
      if (text[to] === ')') depth -= 1;
      to += 1;
    } while (depth > 0 && to < text.length);
    yield { code: match[1] ?? '', call: text.slice(from, to) };
  }
}

test('every code of a Problem in the sources stands in the table', async () => {
  const unknown: string[] = [];
  let found = 0;
  for (const [file, text] of await sources())
    for (const { code } of problemsIn(text)) {
      found += 1;
      if (!Object.hasOwn(ERRORS, code)) unknown.push(`${file}: ${code}`);
    }
  expect(found).toBeGreaterThan(250);
  expect(unknown).toEqual([]);
});

test('every code of the table is used in the sources', async () => {
  const all = [...(await sources()).values()].join('\n');
  expect(Object.keys(ERRORS).filter((code) => !all.includes(`'${code}'`))).toEqual([]);
});

test('a Problem gives a status of its own only where the table allows it', async () => {
  const stray: string[] = [];
  for (const [file, text] of await sources())
    for (const { code, call } of problemsIn(text)) {
      const status = /\bstatus: (\d{3})\b/.exec(call)?.[1];
      const kind = Object.entries(ERRORS).find(([known]) => known === code)?.[1];
      const allowed: readonly number[] = kind !== undefined && 'also' in kind ? kind.also : [];
      if (status !== undefined && !allowed.includes(Number(status))) stray.push(`${file}: ${code} with ${status}`);
    }
  expect(stray).toEqual([]);
});

test('every code of a failed deployment and of a configuration error is used in the sources', async () => {
  const all = [...(await sources()).values()].join('\n');
  const unused = (table: object) => Object.keys(table).filter((code) => !new RegExp(`['"]${code}['"]`).test(all));
  expect([unused(DEPLOYMENT_ERRORS), unused(CONFIG_ERRORS)]).toEqual([[], []]);
});

test('docs/errors.md is the page of these tables; `npm test -- test/errors.test.ts -u` writes it anew', async () => {
  await expect(errorsPage()).toMatchFileSnapshot('../docs/errors.md');
});

test('no code stands in two groups of the table', () => {
  const codes = Object.values(ERROR_GROUPS).flatMap((group) => Object.keys(group));
  expect(codes.length).toBe(new Set(codes).size);
  expect(codes.toSorted()).toEqual(Object.keys(ERRORS).toSorted());
});

test('each entry has a status of HTTP errors and one sentence of at most 25 words', () => {
  for (const [code, { status, meaning }] of Object.entries(ERRORS)) {
    expect([code, status >= 400 && status < 600]).toEqual([code, true]);
    expect([code, /^[A-Z].*\.$/.test(meaning) && meaning.split(' ').length <= 25]).toEqual([code, true]);
  }
});

test('a bundle that a device refuses is not tried again; one that circumstances stopped is', () => {
  expect(['health_check_failed', 'refused', 'code_of_tomorrow', 'toString'].map(retryOfDeployment)).toEqual([
    'never',
    'never',
    'never',
    'never',
  ]);
  expect(['no_space', 'timed_out', 'delivery_failed'].map(retryOfDeployment)).toEqual(['backoff', 'backoff', 'backoff']);
});

test('a Problem has the status and retry of its code, unless it brings others', () => {
  expect(new Problem('not_found', 'm')).toMatchObject({ code: 'not_found', status: 404, retry: 'never' });
  expect(new Problem('git_timeout', 'm')).toMatchObject({ status: 504, retry: 'backoff' });
  expect(new Problem('server_refused', 'm', { status: 502, retry: 'backoff' })).toMatchObject({ status: 502, retry: 'backoff' });
});

test('a code of another program keeps its name, and the kind that the table has for it', () => {
  expect(new Problem({ received: 'rate_limited' }, 'm')).toMatchObject({ code: 'rate_limited', status: 429, retry: 'backoff' });
  expect(new Problem({ received: 'code_of_tomorrow' }, 'm')).toMatchObject({ code: 'code_of_tomorrow', status: 500, retry: 'never' });
  expect(new Problem({ received: 'toString' }, 'm')).toMatchObject({ status: 500, retry: 'never' });
});

test('a reworded Problem keeps everything but what is changed', () => {
  const cause = new Error('c');
  const problem = new Problem('git_rate_limited', 'm', { retryAfterSeconds: 7, errors: [{ pointer: '/a', detail: 'd' }], cause });
  expect(reworded(problem, { message: 'n' })).toMatchObject({
    ...{ code: 'git_rate_limited', message: 'n', status: 503, retry: 'backoff' },
    ...{ retryAfterSeconds: 7, errors: [{ pointer: '/a', detail: 'd' }], cause },
  });
  expect(reworded(problem, { status: 502 })).toMatchObject({ message: 'm', status: 502 });
  expect(reworded(problem, { cause: undefined }).cause).toBeUndefined();
});

test('an error that is no Problem may pass; a Problem says so itself', () => {
  expect(retryOf(new Error('surprise'))).toBe('backoff');
  expect(retryOf(new Problem('usage', 'm'))).toBe('never');
  expect(retryOf(new Problem('commit_missing', 'm'))).toBe('soon');
  expect(retryOf(new Problem('unreachable', 'm', { retry: 'never' }))).toBe('never');
});

test('an error is of a code, and about the host, the request or what is missing, by the table', () => {
  expect(isProblem(new Problem('usage', 'm'), 'timeout', 'usage')).toBe(true);
  expect(isProblem(Object.assign(new Error('m'), { code: 'usage' }), 'usage')).toBe(false);
  const about = (what: 'host' | 'missing' | 'request') =>
    Object.keys(ERRORS).filter((code) => isAbout(new Problem({ received: code }, 'm'), what));
  expect(about('host')).toEqual([
    ...['git_server_error', 'git_timeout', 'git_unreachable'],
    ...['forge_server_error', 'forge_timeout', 'forge_unreachable'],
    ...['integration_server_error', 'integration_timeout', 'integration_unreachable'],
  ]);
  expect(about('missing')).toEqual(['commit_missing', 'ref_missing', 'repository_empty']);
  expect(about('request').toSorted()).toEqual(['invalid_ref', 'preview_busy', 'source_not_synced']);
});

test("the title of an answer is HTTP's own text for its status", () => {
  const titleOf = (code: string) => problemDocument(new Problem({ received: code }, 'm'), 'r').title;
  expect([titleOf('not_found'), titleOf('mirror_no_space')]).toEqual(['Not Found', 'Insufficient Storage']);
  expect(Object.keys(ERRORS).filter((code) => titleOf(code) === 'Error')).toEqual([]);
  expect(problemDocument(new Problem({ received: 'code_of_tomorrow' }, 'm', { status: 599 }), 'r').title).toBe('Error');
});
