import type { Document, Span } from './document/document.ts';
import { decodeText, syntaxOf, toPointer } from './document/document.ts';
import { parseDocument } from './document/parse.ts';
import { defaultRevisionLimits } from './limits.ts';
import { isBelow, isSecretName, isSecretPath, looksSecret, REDACTED } from './secret.ts';

/**
 * The text of a configuration file with every secret replaced, for previews and diffs: values that a schema marked (`secretPointers`), that
 * have a secret-like name, or that look like a key. Lines and layout stay. A JSON or YAML file that cannot be parsed is not shown at all,
 * for nobody knows where a value ends in it.
 */
export function redactConfig(bytes: Uint8Array, fileName: string, secretPointers: readonly string[] = []): string {
  const text = decodeText(bytes);
  if (text === null) return `[binary file of ${bytes.length} bytes]`;
  const syntax = syntaxOf(fileName);
  // No pointer leads into it: it is marked as a whole.
  if (syntax === null) return secretPointers.includes('') ? HIDDEN : redactLines(text);
  const { maxDocumentDepth, maxYamlExpandedChars, maxFileBytes } = defaultRevisionLimits;
  const parsed = bytes.length <= maxFileBytes ? parseDocument(bytes, syntax, { maxDocumentDepth, maxYamlExpandedChars }) : null;
  if (!parsed?.ok) return `[not shown: this file cannot be read as ${syntax.toUpperCase()}, so secrets in it cannot be found]`;
  const redacted = redactSpans(text, parsed.document, new Set(secretPointers));
  // Comments are not part of the data, yet people leave old passwords in them.
  return syntax === 'yaml' ? redactComments(redacted) : redacted;
}

const HIDDEN = '[not shown: a template puts secret variables into this file]';

/** A value shorter than this is not looked for in the rest of the text: it would be found in ordinary words. */
const MIN_REPEATED_CHARS = 8;
const MAX_REPEATED = 200;

function redactSpans(text: string, document: Document, secretPointers: ReadonlySet<string>): string {
  const spans = document.spans();
  // An alias shows elsewhere what stands at its anchor: both are secret.
  const anchors = spans.flatMap((span) => (span.target && isSecretAlias(span, secretPointers) ? [span.target] : []));
  const isSecret = (span: Span): boolean =>
    isSecretSpan(span, secretPointers) || anchors.some((anchor) => anchor.start <= span.start && span.end <= anchor.end);
  const scalars = spans.filter((span) => span.kind === 'scalar');
  const found = new Set(scalars.filter(isSecret).map((span) => span.value));
  const repeated = [...found]
    .filter((value) => typeof value === 'string' && value.length >= MIN_REPEATED_CHARS)
    .slice(0, MAX_REPEATED)
    .map(String);
  const pieces: string[] = [];
  let end = 0;
  for (const span of scalars) {
    if (!isSecret(span) && !repeated.some((secret) => String(span.value).includes(secret))) continue;
    const lineBreaks = text.slice(span.start, span.end).match(/(?<!\n)\n+$/)?.[0] ?? '';
    pieces.push(text.slice(end, span.start), JSON.stringify(REDACTED), lineBreaks);
    end = span.end;
  }
  const shown = [...pieces, text.slice(end)].join('');
  return repeated.reduce((result, secret) => result.replaceAll(secret, REDACTED), shown);
}

function isSecretAlias(span: Span, secretPointers: ReadonlySet<string>): boolean {
  const pointer = toPointer(span.path);
  if (isBelow(pointer, secretPointers) || isSecretPath(span.path)) return true;
  return [...secretPointers].some((secret) => secret.startsWith(`${pointer}/`));
}

function isSecretSpan({ path, value }: Span, secretPointers: ReadonlySet<string>): boolean {
  if (isBelow(toPointer(path), secretPointers) || looksSecret(value)) return true;
  // Switches such as "passwordLogin: true" tell nothing.
  return isSecretPath(path) && typeof value !== 'boolean' && value !== null && value !== '';
}

/** `name = value`, `name: value` and `name value`, keys in PEM form, and URLs with passwords. */
function redactLines(text: string): string {
  let insideKey = false;
  const lines = text.split('\n').map((line) => {
    const begins = line.includes('PRIVATE KEY-----') && line.includes('BEGIN');
    const wasInside = insideKey;
    insideKey = (insideKey || begins) && !line.includes('-----END');
    return begins || wasInside ? REDACTED : redactLine(line);
  });
  return lines.join('\n');
}

/** Both stay linear in the length of a line: a repository chooses it, and the service reads it. */
const NAMED_VALUE = /^([^\w]{0,64}(?:(?:export|set|option|let|var)\s{1,32})?["']?([\w.-]{1,128})["']?(?:\s{0,32}[:=]\s{0,32}|\s{1,32}))\S/;
const LATER_VALUE = /(?<![\w.-])([\w.-]+)["']?(?:\s*[:=]\s*|\s+)(?=\S)/g;

function redactLine(line: string): string {
  if (looksSecret(line)) return REDACTED;
  const [, head = '', name = ''] = NAMED_VALUE.exec(line) ?? [];
  if (isSecretName(name)) return head + REDACTED;
  // `user admin password hunter2`, `--token=…`: from the secret word on, all is hidden.
  const later = [...line.matchAll(LATER_VALUE)].find((match) => isSecretName(match[1] ?? ''));
  return later === undefined ? line : line.slice(0, later.index + later[0].length) + REDACTED;
}

function redactComments(text: string): string {
  return text.replace(/(^|\s)#.*$/gm, (comment) => {
    const start = comment.indexOf('#');
    return comment.slice(0, start + 1) + redactLine(comment.slice(start + 1));
  });
}
