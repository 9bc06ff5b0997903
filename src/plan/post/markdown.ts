/** Text of others in Markdown: shown as it is, and nothing of it obeyed, linked or notified, at any of the hosts. */

const MAX_CODE_CHARACTERS = 300;

/** One line as code: there, hosts know no mentions, references, HTML or commands. */
export function code(text: string): string {
  const line = plainLine(text) || ' ';
  const shown = line.length > MAX_CODE_CHARACTERS ? `${line.slice(0, MAX_CODE_CHARACTERS - 1).replace(/[\uD800-\uDBFF]$/, '')}…` : line;
  const ticks = '`'.repeat(longestRun(shown) + 1);
  const space = shown.startsWith('`') || shown.endsWith('`') ? ' ' : '';
  return `${ticks}${space}${shown}${space}${ticks}`;
}

/** Several lines, between fences that are longer than any in them. */
export function fenced(text: string, language: string): string {
  const shown = plainLines(text);
  const fence = '`'.repeat(Math.max(3, longestRun(shown) + 1));
  return `${fence}${language}\n${shown.endsWith('\n') ? shown : `${shown}\n`}${fence}`;
}

function longestRun(text: string): number {
  return Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
}

/** Nothing that a terminal or a browser would obey, or that makes text look other than it is. */
export function plainLine(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, '')
    .trim();
}

/** A lone carriage return ends a line in Markdown, and so do others elsewhere. */
export function plainLines(text: string): string {
  return text.replace(/\r\n?|[\u0085\u2028\u2029]/g, '\n').replace(/[^\P{Cc}\n\t]|\p{Bidi_Control}/gu, '');
}
