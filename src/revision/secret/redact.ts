import type { Document } from '../../document/document.ts';
import { decodeText, syntaxOf } from '../../document/document.ts';
import { parseDocument } from '../../document/parse.ts';
import { defaultRevisionLimits } from '../limits.ts';
import { isRandom, isSecretName, looksSecret, REDACTED } from './secret.ts';
import { withoutShapes } from './shapes.ts';
import { secretScalars } from './spans.ts';
import { redactTable } from './table.ts';
import { redactLine, redactLines } from './text.ts';

/**
 * The text of a configuration file with every secret replaced, for previews and diffs: values that a schema or a template marked
 * (`secretPointers`), that have a secret name, or that look like a key. Lines and layout stay. A JSON or YAML file that cannot be parsed is
 * not shown at all, for nobody knows where a value ends in it.
 */
export function redactConfig(bytes: Uint8Array, fileName: string, secretPointers: readonly string[] = []): string {
  const text = decodeText(bytes);
  if (text === null) return `[binary file of ${bytes.length} bytes]`;
  const syntax = syntaxOf(fileName);
  // No pointer leads to names and comments: the file is marked as a whole.
  if (secretPointers.includes('')) return HIDDEN;
  if (isSecretFile(fileName)) return HIDDEN_BY_NAME;
  if (syntax === null) return /\.(?:csv|tsv)$/i.test(fileName) ? redactTable(text) : redactLines(text);
  const { maxDocumentDepth, maxYamlExpandedChars, maxFileBytes } = defaultRevisionLimits;
  const parsed = bytes.length <= maxFileBytes ? parseDocument(bytes, syntax, { maxDocumentDepth, maxYamlExpandedChars }) : null;
  if (!parsed?.ok) return `[not shown: this file cannot be read as ${syntax.toUpperCase()}, so secrets in it cannot be found]`;
  const redacted = redactSpans(text, parsed.document, new Set(secretPointers));
  // Comments are not part of the data, yet people leave old passwords in them.
  const shown = syntax === 'yaml' ? redactComments(redacted) : redacted;
  // Nor are names, which may be tokens.
  return withoutShapes(shown, REDACTED);
}

const HIDDEN = '[not shown: a template puts secret variables into this file, or its schema marks it as a whole]';
const HIDDEN_BY_NAME = '[not shown: the name of this file says that it holds secrets]';

/** Files that hold nothing but secrets. */
const SECRET_FILE =
  /(?:^|\/)(?:(?:chap|pap|ipsec|swanctl)[._-]secrets|(?:hostapd[._-])?(?:wpa_psk|eap_user)|(?:ntp|chrony|tsig|rndc|ddns)[._-]keys?|\.?(?:htpasswd|netrc|curlrc|pgpass|vault[_-]pass(?:word)?|boto|s3cfg|dockercfg|git-credentials|my\.cnf|mylogin\.cnf)|_netrc|g?shadow|secrets?|credentials?|passwords?|(?:sasl_)?passwd|master\.key|id_(?:rsa|dsa|ecdsa|ed25519)|[^/]{0,200}\.(?:keystore|jks|p12|pfx|ppk|kdbx|keytab|psk|secrets?|credentials))(?:\.(?:ya?ml|json|txt|ini|conf|cfg|env|toml|xml|csv|properties|db))?$/i;

function isSecretFile(fileName: string): boolean {
  return SECRET_FILE.test(fileName);
}

/** A value shorter than this is not looked for in the rest of the text: it would be found in ordinary words. */
const MIN_REPEATED_CHARS = 8;
const MAX_REPEATED = 200;

function redactSpans(text: string, document: Document, secretPointers: ReadonlySet<string>): string {
  const spans = document.spans();
  const secrets = secretScalars(spans, secretPointers);
  const scalars = spans.filter((span) => span.kind === 'scalar');
  const found = new Set([...[...secrets.keys()].map((span) => span.value), ...spans.flatMap(({ path }) => tokensIn(path))]);
  const repeated = [...found]
    .filter((value) => typeof value === 'string' && value.length >= MIN_REPEATED_CHARS)
    .slice(0, MAX_REPEATED)
    .map(String);
  const pieces: string[] = [];
  let end = 0;
  for (const span of scalars) {
    if (!secrets.has(span) && !repeated.some((secret) => String(span.value).includes(secret))) continue;
    const raw = text.slice(span.start, span.end);
    const lineBreaks = raw.match(/(?<!\n)\n+$/)?.[0] ?? '';
    const inside = secrets.get(span) === 'inside' ? (redactBlock(raw) ?? redactScalar(raw)) : null;
    pieces.push(text.slice(end, span.start), ...(inside === null ? [JSON.stringify(REDACTED), lineBreaks] : [inside]));
    end = span.end;
  }
  const shown = [...pieces, text.slice(end)].join('');
  return repeated.reduce((result, secret) => result.replaceAll(secret, REDACTED), shown);
}

/** Names that are tokens themselves: `tokens: { Zk4qW8nT2x: till-1 }`. */
function tokensIn(path: readonly string[]): string[] {
  return path.filter((name, index) => index > 0 && isRandom(name) && /tokens$/i.test(path[index - 1] ?? '') && !isSecretName(name));
}

/** The lines of a literal block, where a secret is found by line; else null. */
function redactBlock(raw: string): string | null {
  const head = /^\|[+-]?\d?[+-]?[ \t]*\n/.exec(raw)?.[0];
  if (head === undefined) return null;
  const body = raw.slice(head.length);
  const shown = redactLines(body);
  // Each line keeps its indentation, which the block ends without.
  const lines = body.split('\n');
  const indented = shown.split('\n').map((line, index) => (line === REDACTED ? (/^\s*/.exec(lines[index] ?? '')?.[0] ?? '') + line : line));
  return shown === body ? null : head + indented.join('\n');
}

/** A text of one line, whose rest is shown: the host of a URL, the settings before a password. null: nobody knows which part is secret. */
function redactScalar(raw: string): string | null {
  if (/[\n\r\\]/.test(raw)) return null;
  const quote = /^(["'])(.*)\1$/.exec(raw);
  const value = quote?.[2] ?? raw;
  if (/^["'|>&*!]/.test(value) || value.includes(quote?.[1] ?? '"')) return null;
  const shown = redactLine(value);
  const rest = shown.replaceAll(REDACTED, ' ');
  if (shown === value || /["\\]/.test(shown) || looksSecret(rest)) return null;
  return JSON.stringify(shown);
}

/** All comments together, since a key may go over several. */
function redactComments(text: string): string {
  const lines = text.split('\n');
  const starts = lines.map((line) => /(?:^|\s)#/.exec(line)).map((match) => (match === null ? -1 : match.index + match[0].length));
  const comments = lines.map((line, index) => (starts[index] === -1 ? '' : line.slice(starts[index])));
  const shown = redactLines(comments.join('\n')).split('\n');
  return lines.map((line, index) => (starts[index] === -1 ? line : line.slice(0, starts[index]) + (shown[index] ?? ''))).join('\n');
}
