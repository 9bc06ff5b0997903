/** Untrusted text in Markdown. Every host shows it as it is and interprets no command, link or mention in it. */

const MAX_CODE_CHARACTERS = 300;

/** Formats one line as code, in which hosts interpret no mentions, references, HTML or commands. */
export function code(text: string): string {
  const line = plainLine(text) || ' ';
  const shown = line.length > MAX_CODE_CHARACTERS ? `${line.slice(0, MAX_CODE_CHARACTERS - 1).replace(/[\uD800-\uDBFF]$/, '')}…` : line;
  const ticks = '`'.repeat(longestRun(shown) + 1);
  const space = shown.startsWith('`') || shown.endsWith('`') ? ' ' : '';
  return `${ticks}${space}${shown}${space}${ticks}`;
}

/** Formats several lines between fences that are longer than any in the text. */
export function fenced(text: string, language: string): string {
  const shown = plainLines(text);
  const fence = '`'.repeat(Math.max(3, longestRun(shown) + 1));
  return `${fence}${language}\n${shown.endsWith('\n') ? shown : `${shown}\n`}${fence}`;
}

function longestRun(text: string): number {
  return Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
}

/** Removes characters that a terminal or browser would interpret, or that disguise text. */
export function plainLine(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, '')
    .trim();
}

/** Normalises line ends: Markdown also ends a line at a lone carriage return, other readers at other characters. */
export function plainLines(text: string): string {
  return text.replace(/\r\n?|[\u0085\u2028\u2029]/g, '\n').replace(/[^\P{Cc}\n\t]|\p{Bidi_Control}/gu, '');
}
