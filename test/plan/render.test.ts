import fc from 'fast-check';
import { expect, test } from 'vitest';
import { code, fenced } from '../../src/plan/post/markdown.ts';
import { renderMarkdown, renderText } from '../../src/plan/post/render.ts';
import type { PlanView } from '../../src/plan/post/view.ts';

const HOSTILE = '@everyone `</details><img src=x onerror=alert(1)> ``` \r```\r/close !1 #2 \u202Ereversed\u0007';

function aPlan(over: Partial<PlanView> = {}): PlanView {
  return {
    sourceId: 's',
    ref: 'topic',
    commit: 'c'.repeat(40),
    base: 'b'.repeat(40),
    verdict: 'valid',
    errors: [],
    moreErrors: 0,
    rolloutPolicy: {},
    summary: { devices: 1, changed: 1, blocked: 0, invalid: 0, unchanged: 0, folders: 1 },
    devices: [{ id: 'till', path: '', change: 'changed', verdict: 'valid', errors: [], diff: 0, wave: 0, waveName: 'rest', blockers: [] }],
    moreDevices: 0,
    waves: [{ wave: 0, name: 'rest', devices: 1, quarantined: 0, approval: false, bakeSeconds: 0, stop: null }],
    warnings: [],
    blockers: [],
    diffs: [
      {
        devices: 1,
        applyChanged: false,
        truncated: false,
        files: [{ path: 'app.json', change: 'changed', patch: '-1\n+2\n', note: null }],
      },
    ],
    moreDiffs: 0,
    ...over,
  };
}

test('shows the verdict, the counts and the difference', () => {
  expect(renderMarkdown(aPlan())).toBe(
    [
      '### Bellwether plan: valid',
      '`topic` at `cccccccccccc`, compared with `bbbbbbbbbbbb`: 1 of 1 device changes.',
      '<details><summary>Changes on 1 device</summary>\n\n`till`\n\n`app.json` changed\n\n```diff\n-1\n+2\n```\n\n</details>',
    ].join('\n\n'),
  );
  expect(renderText(aPlan())).toContain('app.json changed\n\n-1\n+2\n');
});

/** The part outside of code, which hosts interpret. */
function outsideOfCode(markdown: string): string {
  const lines: string[] = [];
  let fence: string | undefined;
  for (const line of markdown.split(/\r\n?|\n/)) {
    const run = /^`{3,}/.exec(line)?.[0];
    if (fence !== undefined) fence = run !== undefined && run.length >= fence.length && line === run ? undefined : fence;
    else if (run !== undefined && !line.slice(run.length).includes('`')) fence = run;
    else lines.push(line);
  }
  expect(fence).toBeUndefined();
  return lines.join('\n').replace(/(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)/g, '');
}

test('no text from a repository appears outside of code', () => {
  const error = { code: 'schema', file: 'a', pointer: '', rule: 'x', message: HOSTILE };
  const plan = aPlan({
    ref: HOSTILE,
    verdict: 'partial',
    errors: [error],
    blockers: [{ code: 'dependency', detail: HOSTILE, until: null }],
    warnings: [{ code: 'empty_wave', file: HOSTILE, line: 3, pointer: '', detail: HOSTILE }],
    waves: [
      { wave: 0, name: HOSTILE, devices: 1, quarantined: 2, approval: true, bakeSeconds: 5, stop: { code: 'no_success', detail: HOSTILE } },
      { wave: 1, name: 'rest', devices: 0, quarantined: 0, approval: false, bakeSeconds: 0, stop: null },
    ],
    diffs: [
      {
        devices: 1,
        applyChanged: true,
        truncated: true,
        files: [{ path: HOSTILE, change: 'changed', patch: `+${HOSTILE}\n-\`\`\`\`\`\n\`\`\`\`\n`, note: null }],
      },
    ],
  });
  const outside = outsideOfCode(renderMarkdown(plan));
  for (const forbidden of ['@everyone', '<img', 'onerror', '/close', '#2', '!1', 'reversed']) expect(outside).not.toContain(forbidden);
  expect(outside.match(/<\/details>/g)).toHaveLength(1);
  for (const text of [renderMarkdown(plan), renderText(plan)])
    for (const obeyed of ['\u202E', '\u0007', '\r']) expect(text).not.toContain(obeyed);
});

test('any text stays inside its code', () => {
  const text = fc.string({ unit: fc.constantFrom('`', '``', '\n', '\r', '~', 'a', ' ', '@', '<', '\\', '\u2028'), maxLength: 40 });
  fc.assert(
    fc.property(text, (content) => {
      expect(outsideOfCode(code(`x${content}`)).trim()).toBe('');
      expect(outsideOfCode(fenced(content, 'diff'))).toBe('');
    }),
  );
});

test('differences beyond the size limit are left out and counted', () => {
  const diff = (size: number) => ({
    devices: 1,
    applyChanged: false,
    truncated: false,
    files: [{ path: 'a', change: 'added' as const, patch: '+x\n'.repeat(size), note: null }],
  });
  const plan = aPlan({ diffs: [diff(15_000), diff(10_000), diff(1)], moreDiffs: 4 });
  const markdown = renderMarkdown(plan);
  expect(markdown.length).toBeLessThan(60_000);
  expect(markdown).toContain('6 more differences are not shown here.');
  expect(markdown.match(/<details>/g)).toHaveLength(1);
  const many = aPlan({
    errors: Array.from({ length: 60 }, (_, n) => ({ code: 'c', file: 'f', pointer: '', rule: 'r', message: `fault ${n}` })),
    moreErrors: 7,
  });
  expect(renderMarkdown(many)).toContain('- and 17 more');
});
