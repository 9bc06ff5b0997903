import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type Config, readConfig } from '../src/config.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const [KIB, MIB, SECOND, MINUTE, HOUR, DAY] = [1024, 1024 * 1024, 1000, 60, 3_600, 86_400];

/**
 * Numbers of the docs that the code decides: the words around the number, the constant, the folder of the constant, and how many of the constant's
 * units one of the page's is.
 */
const NUMBERS: readonly (readonly [page: string, words: RegExp, constant: string, folder: string, unit?: number])[] = [
  ['getting-started', /\(seconds; default (\S+), at least/, 'DEFAULT_BUSY_MS', 'agent', SECOND],
  ['getting-started', /\(seconds; default 60, at least (\S+)\)/, 'SHORTEST_BUSY_MS', 'agent', SECOND],
  ['getting-started', /\| (\d+) \| the device is busy/, 'BUSY_EXIT_CODE', 'agent'],
  ['how-it-works', /The last (\S+) backups stay/, 'BACKUPS_KEPT', 'src'],
  ['how-it-works', /A bundle of up to (\S+) KiB arrives/, 'INLINE_BYTES', 'src/wire', KIB],
  ['how-it-works', /finish within (\S+) second are reported/, 'REPORT_GATHER_MS', 'src/wire', SECOND],
  ['how-it-works', /within the last (\S+) minutes/, 'OFFLINE_AFTER_SECONDS', 'src/device', MINUTE],
  ['how-it-works', /Each long poll \((\S+) s\)/, 'MAX_WAIT_SECONDS', 'src/api/device'],
  ['how-it-works', /send a heartbeat every (\S+) s/, 'HEARTBEAT_SECONDS', 'src/delivery'],
  ['how-it-works', /all together send (\S+) a second/, 'PER_SECOND', 'src/delivery'],
  ['how-it-works', /interval is (\S+) minutes/, 'LONGEST_SECONDS', 'src/delivery', MINUTE],
  ['configuration', /nests at most (\S+) levels/, 'maxDocumentDepth', 'src/revision'],
  ['configuration', /repeat at most (\S+) Mi characters/, 'maxYamlExpandedChars', 'src/revision', MIB],
  ['configuration', /Calculations keep (\S+) digits/, 'DIGITS', 'src/prepare'],
  ['schemas', /A schema has at most (\S+) MiB/, 'maxSchemaBytes', 'src/revision', MIB],
  ['schemas', /reaches at most (\S+) files/, 'maxSchemaFiles', 'src/revision'],
  ['schemas', /may take (\S+) seconds/, 'maxValidationMs', 'src/revision', SECOND],
  ['schemas', /exact up to (\S+) digits/, 'MAX_DIGITS', 'src/document'],
  ['limits', /template has at most (\S+) KiB/, 'maxTemplateBytes', 'src/revision', KIB],
  ['limits', /renders to at most (\S+) Mi characters/, 'maxTemplateChars', 'src/revision', MIB],
  ['limits', /bundle has at most (\S+) MiB/, 'maxBundleBytes', 'src/revision', MIB],
  ['limits', /MiB and (\S+) files/, 'maxBundleFiles', 'src/revision'],
  ['git-hosts', /larger than (\S+) MiB packed/, 'maxPackBytes', 'src/git', MIB],
  ['git-hosts', /holds a file larger than (\S+) MiB/, 'maxObjectBytes', 'src/git', MIB],
  ['git-hosts', /A file larger than (\S+) MiB is an error/, 'maxObjectBytes', 'src/git', MIB],
  ['git-hosts', /adds more than (\S+) MiB/, 'maxIncrementBytes', 'src/git', MIB],
  ['git-hosts', /follows up to (\S+) redirects/, 'MAX_REDIRECTS', 'src/git'],
  ['git-hosts', /The longest pause is (\S+) hour/, 'MAX_SECONDS', 'src/async', HOUR],
  ['git-hosts', /Names are cut at (\S+) characters/, 'MAX_NAME_CHARACTERS', 'src/git'],
  ['git-hosts', /messages at ([\d,]+)/, 'MAX_MESSAGE_CHARACTERS', 'src/git'],
  ['git-hosts', /device may get (\S+) files/, 'maxBundleFiles', 'src/revision'],
  ['git-hosts', /may hold (\S+) files and folders/, 'maxListedFiles', 'src/revision'],
  ['git-hosts', /shows the (\S+) one in a row/, 'FAILURES_TO_SHOW', 'src/db'],
  ['git-hosts', /up to (\S+) min\./, 'RETRY_SECONDS.cap', 'src/db', MINUTE],
  ['sources', /one check per (\S+) ms/, 'WOKEN_EVERY_MS', 'src/api'],
  ['sources', /stay for (\S+) days/, 'KEEP_DAYS', 'controller'],
  ['sources', /newest (\S+) of a source/, 'HOOK_DELIVERIES_KEPT', 'controller'],
  ['sources', /last (\S+) refused or ignored/, 'NOTED_KEPT', 'src/source'],
  ['webhooks', /for it, for at most (\S+) s/, 'EXPECT_COMMIT_SECONDS', 'src/source'],
  ['webhooks', /only within (\S+) s of an equal one/, 'REPEAT_SECONDS', 'src/source'],
  ['webhooks', /plans the (\S+) most recently/, 'REPLANNED_AT_ONCE', 'src/plan'],
  ['webhooks', /at most once (\S+) minute/, 'REPLAN_PAUSE_SECONDS', 'src/plan', MINUTE],
  ['rollout-policy', /serves at most (\S+) devices/, 'AT_WORK', 'src/delivery'],
  ['security', /token passes \| (\S+) a second/, 'OPEN_PER_SECOND', 'src/http'],
  ['security', /A burst of (\S+) seconds' worth/, 'BURST_SECONDS', 'src/http'],
  ['security', /remembers at most (\S+) keys/, 'MAX_KEYS', 'src/http'],
  ['security', /A key has at most (\S+) characters/, 'MAX_KEY_CHARACTERS', 'src/http'],
  ['security', /At most (\S+) live connections/, 'MAX_OF_SENDER', 'src/live'],
  ['security', /and (\S+) in all, may be without/, 'MAX_OF_ALL', 'src/live'],
  ['security', /within (\S+) a second share one probe/, 'PROBE_SHARED_MS', 'src/api', SECOND],
  ['security', /only once in (\S+) seconds per source/, 'NAMED_SECONDS', 'src/hook'],
  ['security', /names no commit the time is (\S+) seconds/, 'UNNAMED_SECONDS', 'src/hook'],
  ['security', /process remembers (\S+) bodies/, 'MAX_BODIES', 'src/hook'],
  ['security', /one answer, within (\S+) seconds/, 'MAX_WAIT_SECONDS', 'src/api/device'],
  ['security', /Each folder has (\S+) seconds/, 'maxValidationMs', 'src/revision', SECOND],
  ['security', /share (\S+) seconds per commit/, 'maxCommitValidationMs', 'src/revision', SECOND],
  ['security', /files have at most (\S+) KiB each/, 'MAX_QUICK_BYTES', 'src/prepare', KIB],
  ['security', /tries it again after (\S+) seconds/, 'BACKOFF_SECONDS.base', 'src/source'],
  ['security', /growing pauses up to (\S+) minutes/, 'BACKOFF_SECONDS.cap', 'src/source', MINUTE],
  ['security', /A secret value of (\S+) characters or more/, 'MIN_SECRET_CHARS', 'src/preview'],
  ['tasks', /up to (\S+) rows and/, 'MAX_IMPORT_ROWS', 'src/inventory'],
  ['tasks', /rows and (\S+) MiB/, 'MAX_IMPORT_BYTES', 'src/api', MIB],
  ['tasks', /key works for (\S+) day/, 'KEY_GRACE_SECONDS', 'src/inventory', DAY],
  ['tasks', /not accepted within (\S+) day/, 'DELIVER_WITHIN_HOURS', 'src/notification', 24],
  ['tasks', /when more than (\S+) wait/, 'MAX_BACKLOG', 'src/notification'],
  ['devices', /asks again every (\S+) s/, 'ASK_AGAIN_SECONDS', 'src/inventory'],
  ['devices', /After (\S+) returns/, 'RETURNS_OF_CLONES', 'src/device'],
  ['devices', /(\S+) hour after the last return/, 'CLONES_FORGOTTEN_AFTER_SECONDS', 'src/device', HOUR],
  ['devices', /another state after (\S+) s/, 'PAUSE_SECONDS', 'src/plan'],
  ['devices', /the first (\S+) posts of a commit/, 'QUICK_POSTS', 'src/plan'],
  ['devices', /posts of a commit every (\S+) s/, 'PROGRESS_SECONDS', 'src/plan'],
  ['devices', /After (\S+) posts for one commit/, 'MOST_POSTS', 'src/plan'],
  ['device-protocol', /reports and (\S+) MiB, oldest first/, 'MAX_REPORT_BYTES', 'src/api', MIB],
  ['device-protocol', /a state is valid for (\S+) minutes/, 'VALID_SECONDS', 'src/delivery', MINUTE],
  ['device-protocol', /changes, for at most (\S+) s/, 'MAX_WAIT_SECONDS', 'src/api/device'],
  ['device-protocol', /no larger, up to (\S+) KiB/, 'INLINE_BYTES', 'src/wire', KIB],
  ['device-protocol', /within the last (\S+) minutes/, 'OFFLINE_AFTER_SECONDS', 'src/device', MINUTE],
  ['device-protocol', /at most (\S+) samples/, 'MAX_SAMPLES', 'src/api/legacy'],
  ['operating', /a device's poll lasts up to (\S+) s/, 'MAX_WAIT_SECONDS', 'src/api/device'],
];

const WORDS: Readonly<Record<string, number>> = {
  half: 0.5,
  a: 1,
  an: 1,
  one: 1,
  another: 1,
  two: 2,
  three: 3,
  third: 3,
  four: 4,
  five: 5,
  eight: 8,
  ten: 10,
};

const CLAIMS = NUMBERS.map(([page, words, constant, folder, unit = 1]) => ({ page, words, constant, folder, unit }));

test.each(CLAIMS)('$words on the page $page: as the code has it', async ({ page, words, constant, folder, unit }) => {
  const text = (await readFile(join(ROOT, `docs/${page}.md`), 'utf8')).replace(/\s+/g, ' ');
  const written = words.exec(text)?.[1] ?? 'no such words';
  const number = WORDS[written.toLowerCase()] ?? Number(written.replaceAll(',', ''));
  expect([number * unit]).toEqual(await valuesOf(constant, folder));
});

/** Every value that files below the folder give to a constant, or a member, of the name. `A.b`: the member `b` of the constant `A`. */
async function valuesOf(constant: string, folder: string): Promise<number[]> {
  const values = new Set<number>();
  const [name, member] = constant.split('.');
  const place = member === undefined ? `(?:const |^ *)${name}\\s*[:=]` : `const ${name} = \\{[^}]*?\\b${member}:`;
  const assigned = new RegExp(`${place}\\s*([\\d_ *()/+.A-Z]+)[;, ]`, 'gm');
  for (const entry of await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/(?<!\.d)\.ts$/.test(entry.name)) continue;
    const text = await readFile(join(ROOT, folder, relative(join(ROOT, folder), entry.parentPath), entry.name), 'utf8');
    for (const [, expression = ''] of text.matchAll(assigned)) values.add(calculate(expression));
  }
  return [...values];
}

/** Products and quotients of whole numbers: `25 * 1024 * 1024`, `MEBIBYTE / 4`. */
function calculate(expression: string): number {
  const parts = expression
    .replaceAll('_', '')
    .replaceAll('MEBIBYTE', String(MIB))
    .split(/([*/])/);
  return parts.reduce((value, part, at) => {
    if (at % 2 === 1) return value;
    return parts[at - 1] === '/' ? value / Number(part) : value * Number(part);
  }, 1);
}

test('the defaults on the page of settings, and of limits on the page of security, are those of the code', async () => {
  const defaults: Partial<Record<keyof Config, unknown>> = readConfig({});
  const settings = await readFile(join(ROOT, 'docs/settings.md'), 'utf8');
  const security = await readFile(join(ROOT, 'docs/security.md'), 'utf8');
  const written = [
    ...[...settings.matchAll(/^\| `([A-Z_]+)` \| (\d+|on|off) \|/gm)].map(([, name = '', value = '']) => [name, value] as const),
    ...[...security.matchAll(/^\| `([A-Z_]+)` \|.*\| (\d+) a second \|$/gm)].map(([, name = '', value = '']) => [name, value] as const),
  ];
  expect(written.length).toBeGreaterThanOrEqual(16);
  const wrong = written.filter(([name, value]) => {
    const decided = defaults[name as keyof Config];
    return typeof decided === 'boolean' ? value !== (decided ? 'on' : 'off') : Number(value) !== decided;
  });
  expect(wrong).toEqual([]);
});
