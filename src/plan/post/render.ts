import { headlineOf } from '../merge-request.ts';
import { code, fenced, plainLine, plainLines } from './markdown.ts';
import type { PlanView } from './view.ts';

/** Hosts cut a longer comment anywhere, even inside a fence. GitHub and Gitea accept 65,536 characters. */
const MAX_MARKDOWN_CHARACTERS = 60_000;
const MAX_TEXT_CHARACTERS = 1_000_000;
/** Device names in one line. */
const MAX_NAMES = 10;
const MAX_LISTED = 50;

/** The output format; one renderer writes both Markdown and plain text. */
type Style = {
  limit: number;
  /** A word or a line from the repository. */
  quote(text: string): string;
  title(text: string): string;
  heading(text: string): string;
  patch(text: string): string;
  /** A part that a reader can fold. */
  part(title: string, lines: string): string;
};

const MARKDOWN: Style = {
  limit: MAX_MARKDOWN_CHARACTERS,
  quote: code,
  title: (text) => `### ${text}`,
  heading: (text) => `**${text}**`,
  patch: (text) => fenced(text, 'diff'),
  part: (title, lines) => `<details><summary>${title}</summary>\n\n${lines}\n\n</details>`,
};

const TEXT: Style = {
  limit: MAX_TEXT_CHARACTERS,
  quote: plainLine,
  title: (text) => text,
  heading: (text) => `${text}:`,
  patch: plainLines,
  part: (title, lines) => `${title}:\n${lines}`,
};

/** Renders a comment for a git host. Text from the repository stays plain text there. */
export function renderMarkdown(plan: PlanView): string {
  return render(plan, MARKDOWN);
}

/** Renders text for a terminal. */
export function renderText(plan: PlanView): string {
  return `${render(plan, TEXT)}\n`;
}

const VERDICTS: Record<PlanView['verdict'], string> = {
  valid: 'valid',
  partial: 'partly valid: errors in some device folders block their devices',
  invalid: 'invalid: no device changes',
};

function render(plan: PlanView, style: Style): string {
  const base = plan.base === null ? '' : `, compared with ${style.quote(plan.base.slice(0, 12))}`;
  const sections = [
    style.title(`Bellwether plan: ${VERDICTS[plan.verdict]}`),
    `${style.quote(plan.ref)} at ${style.quote(plan.commit.slice(0, 12))}${base}: ${plan.errors.length > 0 ? countsOf(plan) : headlineOf(viewless(plan))}.`,
    errorsOf(plan, style),
    warningsOf(plan, style),
    blockersOf(plan, style),
    wavesOf(plan, style),
    devicesOf(plan, style),
  ].filter((section) => section !== '');
  let text = sections.join('\n\n');
  const left = (count: number) => `${count} more ${count === 1 ? 'difference is' : 'differences are'} not shown here.`;
  for (const [index, diff] of plan.diffs.entries()) {
    const shown = diffOf(plan, index, diff, style);
    const unshown = plan.diffs.length - index + plan.moreDiffs;
    if (text.length + shown.length + left(unshown).length + 4 > style.limit) return `${text}\n\n${left(unshown)}`;
    text += `\n\n${shown}`;
  }
  return plan.moreDiffs > 0 ? `${text}\n\n${left(plan.moreDiffs)}` : text;
}

function viewless({ verdict, errors, summary, blockers }: PlanView): Parameters<typeof headlineOf>[0] {
  return { verdict, errors, summary, blockers: blockers.map((blocker) => ({ ...blocker, until: null })) };
}

function countsOf({ summary: { devices, changed, invalid } }: PlanView): string {
  return `${changed} of ${devices} devices would change, ${invalid} ${invalid === 1 ? 'is' : 'are'} invalid`;
}

function errorsOf({ errors, moreErrors }: PlanView, style: Style): string {
  if (errors.length === 0) return '';
  return [style.heading('Errors'), ...listed(errors, ({ message }) => style.quote(message), moreErrors)].join('\n');
}

function warningsOf({ warnings }: PlanView, style: Style): string {
  if (warnings.length === 0) return '';
  const place = (file: string, line: number | null) => (file === '' ? '' : `${line === null ? file : `${file}:${line}`} `);
  return [style.heading('Warnings'), ...listed(warnings, ({ file, line, detail }) => style.quote(`${place(file, line)}${detail}`))].join(
    '\n',
  );
}

function blockersOf({ blockers }: PlanView, style: Style): string {
  if (blockers.length === 0) return '';
  const until = (time: string | null) => (time === null ? '' : `, until ${time}`);
  return [
    style.heading('Its rollout would wait'),
    ...listed(blockers, ({ detail, until: time }) => `${style.quote(detail)}${until(time)}`),
  ].join('\n');
}

function wavesOf({ waves, summary }: PlanView, style: Style): string {
  if (summary.changed === 0 || waves.length < 2) return '';
  const lines = waves.map(({ name, devices, quarantined, approval, bakeSeconds, stop }) => {
    const failed = quarantined > 0 ? `, ${quarantined} more in quarantine` : '';
    const bake = bakeSeconds > 0 ? `, then watched for ${bakeSeconds} s` : '';
    const end = stop === null ? '' : `. The rollout would stop here: ${style.quote(stop.detail)}`;
    return `${style.quote(name)}: ${devices} ${devices === 1 ? 'device' : 'devices'}${failed}${approval ? ', after an approval' : ''}${bake}${end}`;
  });
  return [style.heading('Waves'), ...lines.map((line, index) => `${index + 1}. ${line}`)].join('\n');
}

/** Lists devices with a blocker or without a folder. */
function devicesOf({ devices }: PlanView, style: Style): string {
  const special = devices.filter(({ change, blockers }) => blockers.length > 0 || change === 'removed');
  if (special.length === 0) return '';
  const lines = listed(special, ({ id, change, blockers }) => {
    const gone = change === 'removed' ? ['its folder was removed, it keeps its current bundle'] : [];
    return `${style.quote(id)}: ${[...gone, ...blockers.map((blocker) => blocker.replaceAll('_', ' '))].join(', ')}`;
  });
  return style.part(`Devices that stay or wait (${special.length})`, lines.join('\n'));
}

function listed<T>(items: readonly T[], line: (item: T) => string, uncounted = 0): string[] {
  const lines = items.slice(0, MAX_LISTED).map((item) => `- ${line(item)}`);
  const more = items.length - lines.length + uncounted;
  return more > 0 ? [...lines, `- and ${more} more`] : lines;
}

function diffOf(plan: PlanView, index: number, diff: PlanView['diffs'][number], style: Style): string {
  const names = plan.devices.filter((device) => device.diff === index).map(({ id }) => style.quote(id));
  const shown = names.slice(0, MAX_NAMES).join(', ');
  const more = diff.devices > MAX_NAMES ? ` and ${diff.devices - MAX_NAMES} more` : '';
  const files = diff.files.map(({ path, change, patch, note }) => {
    const head = `${style.quote(path)} ${change}${note === null ? '' : ` (${note})`}`;
    return patch === null ? head : `${head}\n\n${style.patch(patch)}`;
  });
  const notes = [
    ...(diff.applyChanged ? ['Hooks, health check or confirm timeout change.'] : []),
    ...(diff.truncated ? ['Not all files are shown.'] : []),
  ];
  const title = `Changes on ${diff.devices} ${diff.devices === 1 ? 'device' : 'devices'}`;
  return style.part(title, [`${shown}${more}`, ...files, ...notes].join('\n\n'));
}
