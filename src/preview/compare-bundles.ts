import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff';
import type { Span } from '../document/document.ts';
import { decodeText, syntaxOf, toPointer } from '../document/document.ts';
import { parseDocument } from '../document/parse.ts';
import { withoutValue } from '../revision/config-error.ts';
import { defaultRevisionLimits } from '../revision/limits.ts';
import type { ConfigError } from '../revision/revision.ts';
import { redactConfig } from '../revision/secret/redact.ts';
import { isBelow, REDACTED } from '../revision/secret/secret.ts';
import { secretScalars } from '../revision/secret/spans.ts';
import type { BundleFile, BundleManifest } from '../wire/bundle.ts';

export type BundleSide = { manifest: BundleManifest; secretPointers: Readonly<Record<string, readonly string[]>> };

export type PreviewFile = { path: string; mode: string; size: number; content: 'text' | 'binary' | 'too_large'; text: string | null };
export type PreviewChange = { path: string; change: 'added' | 'removed' | 'changed'; patch: string | null; note: string | null };
export type Comparison = { files: PreviewFile[]; diff: PreviewChange[]; errors: ConfigError[] };

const MAX_FILES = 200;
/** A larger file is listed without its text. */
const MAX_TEXT_BYTES = 256 * 1024;
/** Sum over both sides; it bounds the work to parse, redact and compare for one response. */
const MAX_TOTAL_BYTES = 4 * 1024 * 1024;

/** Paths that one preview shows, and the digests of the contents that it needs. Changed files come before unchanged ones. */
export type Selection = { paths: string[]; contents: string[]; truncated: boolean };

export function selectFiles(next: BundleSide | null, running: BundleSide | null): Selection {
  const pairs = pairsOf(next, running);
  const ordered = [...pairs.filter(isChanged), ...pairs.filter((pair) => !isChanged(pair))];
  const selection: Selection = { paths: [], contents: [], truncated: false };
  let bytes = 0;
  for (const { path, before, after } of ordered) {
    const shown = [before, after].filter((file) => file !== undefined).filter((file) => file.size <= MAX_TEXT_BYTES);
    const cost = shown.reduce((sum, file) => sum + file.size, 0);
    if (selection.paths.length >= MAX_FILES || bytes + cost > MAX_TOTAL_BYTES) {
      selection.truncated = true;
      continue;
    }
    bytes += cost;
    selection.paths.push(path);
    selection.contents.push(...shown.map((file) => file.sha256));
  }
  return selection;
}

/**
 * Compares the selected files of `next` with those of `running`, without any secret. Secrets are values that a schema marks in either version, that
 * their name or form reveals, and every other occurrence of such a value in any of the files.
 * @param contents bytes by SHA-256 of the selection's files
 * @param breathe awaited between two files, so that the event loop can run other work
 */
export async function compareBundles(
  sides: { next: BundleSide | null; running: BundleSide | null; errors: readonly ConfigError[] },
  selection: Selection,
  contents: ReadonlyMap<string, Uint8Array>,
  breathe: () => Promise<void>,
): Promise<Comparison> {
  const selected = new Set(selection.paths);
  const pairs = pairsOf(sides.next, sides.running).filter(({ path }) => selected.has(path));
  const bytesOf = (file: BundleFile | undefined) =>
    file === undefined || file.size > MAX_TEXT_BYTES ? undefined : contents.get(file.sha256);
  const values = new Map<string, 'whole' | 'inside'>();
  for (const pair of pairs) {
    for (const file of [pair.before, pair.after]) collectSecrets(bytesOf(file), pair, values);
    await breathe();
  }
  // Longest first, since one value may be a prefix of another.
  const secrets = [...values.keys()].sort((a, b) => b.length - a.length).slice(0, MAX_SECRETS);
  // A text with a secret inside shows its rest. It is hidden where it stands as it is, as in a file whose rules do not find the secret.
  const whole = secrets.filter((secret) => values.get(secret) === 'whole');
  const marked = new Set(pairs.flatMap((pair) => [...pair.pointers]));
  const comparison: Comparison = { files: [], diff: [], errors: sides.errors.map((error) => withoutSecrets(error, secrets, marked)) };
  // Without a valid bundle the device keeps its current one, so that there is nothing to compare.
  if (sides.next === null) return comparison;
  for (const pair of pairs) {
    const before = pair.before && { file: pair.before, ...render(bytesOf(pair.before), pair, { secrets, whole }) };
    const after = pair.after && { file: pair.after, ...render(bytesOf(pair.after), pair, { secrets, whole }) };
    if (after)
      comparison.files.push({ path: pair.path, mode: after.file.mode, size: after.file.size, content: after.content, text: after.text });
    if (isChanged(pair)) comparison.diff.push(describeChange(pair.path, before, after));
    await breathe();
  }
  return comparison;
}

/** One path on both sides. `pointers`: places that either version's schema marks, with `*` for list positions, since items move. */
type Pair = { path: string; before: BundleFile | undefined; after: BundleFile | undefined; pointers: ReadonlySet<string> };

function pairsOf(next: BundleSide | null, running: BundleSide | null): Pair[] {
  const before = new Map(running?.manifest.files.map((file) => [file.path, file]));
  const after = new Map(next?.manifest.files.map((file) => [file.path, file]));
  return [...new Set([...before.keys(), ...after.keys()])].sort().map((path) => {
    const marked = [...(running?.secretPointers[path] ?? []), ...(next?.secretPointers[path] ?? [])];
    return { path, before: before.get(path), after: after.get(path), pointers: new Set(marked.map(anyItem)) };
  });
}

function isChanged({ before, after }: Pair): boolean {
  return before?.sha256 !== after?.sha256 || before?.mode !== after?.mode;
}

function anyItem(pointer: string): string {
  return pointer.replace(/\/\d+(?=\/|$)/g, '/*');
}

/** Shorter values are not searched elsewhere, since they occur in ordinary words. */
const MIN_SECRET_CHARS = 8;
const MAX_SECRETS = 500;

function collectSecrets(bytes: Uint8Array | undefined, pair: Pair, values: Map<string, 'whole' | 'inside'>): void {
  const isMarked = (pointer: string, marked: ReadonlySet<string>) => isBelow(anyItem(pointer), marked);
  for (const [{ value }, extent] of secretScalars(scalarsOf(bytes, pair.path), pair.pointers, isMarked)) {
    if (typeof value !== 'string' && typeof value !== 'number') continue;
    const text = String(value);
    if (text.length >= MIN_SECRET_CHARS && values.get(text) !== 'whole') values.set(text, extent);
  }
}

function scalarsOf(bytes: Uint8Array | undefined, name: string): Span[] {
  const syntax = syntaxOf(name);
  if (bytes === undefined || syntax === null) return [];
  const parsed = parseDocument(bytes, syntax, defaultRevisionLimits);
  return parsed.ok ? parsed.document.spans().filter((span) => span.kind !== 'collection') : [];
}

type Rendered = { content: PreviewFile['content']; text: string | null };

/** `whole`: those of the secret values in which nothing may be shown. */
type Hidden = { secrets: readonly string[]; whole: readonly string[] };

function render(bytes: Uint8Array | undefined, pair: Pair, { secrets, whole }: Hidden): Rendered {
  if (bytes === undefined) return { content: 'too_large', text: null };
  if (decodeText(bytes) === null) return { content: 'binary', text: null };
  const marked = scalarsOf(bytes, pair.path).flatMap(({ path, value }) => {
    const pointer = toPointer(path);
    const isSecret = isBelow(anyItem(pointer), pair.pointers) || whole.some((secret) => String(value).includes(secret));
    return isSecret ? [pointer] : [];
  });
  if (pair.pointers.has('')) marked.push('');
  return { content: 'text', text: hide(redactConfig(bytes, pair.path, marked), secrets) };
}

function hide(text: string, secrets: readonly string[]): string {
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, REDACTED), text);
}

/** If the new schema no longer marks a secret, its errors could reveal the value that the running version protects. */
function withoutSecrets(error: ConfigError, secrets: readonly string[], marked: ReadonlySet<string>): ConfigError {
  const text = JSON.stringify(error);
  const isMarked = error.pointer !== '' && isBelow(anyItem(error.pointer), marked);
  if (!isMarked && !secrets.some((secret) => text.includes(JSON.stringify(secret).slice(1, -1)))) return error;
  return withoutValue(error);
}

/** Limit of differing lines, which bounds the time of a comparison. */
const MAX_EDITS = 2_000;

type Version = Rendered & { file: BundleFile };

function describeChange(path: string, before: Version | undefined, after: Version | undefined): PreviewChange {
  const change = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed';
  const modes = before && after && before.file.mode !== after.file.mode ? `mode ${before.file.mode} becomes ${after.file.mode}` : null;
  const notes = (note: string | null) => [modes, note].filter((part) => part !== null).join('; ') || null;
  const hidden = [before, after].find((version) => version && version.text === null);
  if (hidden) return { path, change, patch: null, note: notes(hidden.content === 'binary' ? 'binary' : 'too large to show') };
  if (before && after && before.text === after.text)
    return {
      path,
      change,
      patch: null,
      note: notes(before.file.sha256 === after.file.sha256 ? null : 'only values that are not shown differ'),
    };
  const [from, to] = [before === undefined ? '/dev/null' : `a/${path}`, after === undefined ? '/dev/null' : `b/${path}`];
  const options = { context: 3, maxEditLength: MAX_EDITS, headerOptions: FILE_HEADERS_ONLY };
  const patch = createTwoFilesPatch(from, to, before?.text ?? '', after?.text ?? '', undefined, undefined, options);
  return { path, change, patch: patch ?? null, note: notes(patch === undefined ? 'too different to show line by line' : null) };
}
