import type { Span } from '../../document/document.ts';
import { toPointer } from '../../document/document.ts';
import { gearEnd } from './gear.ts';
import { isBelow, isSecretName, isSecretPath, isSecretValue } from './secret.ts';
import { holdsSecret } from './text.ts';

/** The scalars of a document that must not be shown: marked ones, and those that their name, their neighbours or they themselves give away. `inside`: a secret is a part of the text. */
export function secretScalars(spans: readonly Span[], marked: ReadonlySet<string>, isMarked = isBelow): Map<Span, 'whole' | 'inside'> {
  // An alias shows elsewhere what stands at its anchor: both are secret.
  const anchors = spans.flatMap((span) => (span.target && isSecretAlias(span, marked) ? [span.target] : []));
  const named = namedPointers(spans);
  const secrets = new Map<Span, 'whole' | 'inside'>();
  for (const span of spans) {
    if (span.kind === 'collection') continue;
    const isSecret =
      isMarked(toPointer(span.path), marked) ||
      isBelow(toPointer(span.path), named) ||
      isSecretValue(span.path, span.value) ||
      anchors.some((anchor) => anchor.start <= span.start && span.end <= anchor.end);
    if (isSecret) secrets.set(span, 'whole');
    else if (holdsSecret(span.value)) secrets.set(span, 'inside');
  }
  return secrets;
}

function isSecretAlias(span: Span, secretPointers: ReadonlySet<string>): boolean {
  const pointer = toPointer(span.path);
  if (isBelow(pointer, secretPointers) || isSecretPath(span.path)) return true;
  return [...secretPointers].some((secret) => secret.startsWith(`${pointer}/`));
}

const NAMING = /^(?:name|key|option|variable|setting|param|parameter|id|field|property|label|env|k|n)$/i;
const VALUES = [
  'value',
  'val',
  'content',
  'default',
  'text',
  'string',
  'data',
  'v',
  'values',
  'Value',
  'Val',
  'Content',
  'VALUE',
  'stringValue',
];

/** Members of a JSON Web Key that its public half has not. */
const PRIVATE_JWK = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** Finds the value beside a secret name: `{ name: DB_PASSWORD, value: x }`, `["--password", "x"]`, the data of a Kubernetes secret. */
function namedPointers(spans: readonly Span[]): Set<string> {
  const named = new Set<string>();
  let before: Span | undefined;
  let list: Span[] = [];
  const closeList = () => {
    for (const argument of list.length > 1 ? secretArguments(list) : []) named.add(toPointer(argument.path));
  };
  for (const span of spans) {
    if (span.kind === 'collection' || typeof span.value !== 'string') continue;
    if (before === undefined || !isNextItem(before, span)) {
      closeList();
      list = [];
    }
    if (/^\d+$/.test(span.path.at(-1) ?? '')) list.push(span);
    const last = span.path.at(-1) ?? '';
    const parent = toPointer(span.path.slice(0, -1));
    if (last === 'kind' && span.value === 'Secret') for (const name of ['data', 'stringData']) named.add(`${parent}/${name}`);
    if (last === 'kty') for (const name of PRIVATE_JWK) named.add(`${parent}/${name}`);
    if (NAMING.test(last) && isSecretName(span.value) && !/\s\S+\s/.test(span.value))
      for (const name of VALUES) named.add(`${parent}/${name}`);
    if (follows(before, span)) named.add(toPointer(span.path));
    before = span;
  }
  closeList();
  return named;
}

/** The item after a flag, or after a name in a list of two. */
function follows(before: Span | undefined, span: Span): boolean {
  if (before === undefined || typeof before.value !== 'string' || !isNextItem(before, span)) return false;
  if (/^-{1,2}[\w.-]{1,64}$/.test(before.value)) return isSecretName(before.value) || before.value === '--user';
  return span.path.at(-1) === '1' && /^[\w.-]{2,64}$/.test(before.value) && isSecretName(before.value);
}

function isNextItem(before: Span, span: Span): boolean {
  const [last = '', previous = ''] = [span.path.at(-1), before.path.at(-1)];
  if (!/^\d+$/.test(last) || Number(last) !== Number(previous) + 1 || span.path.length !== before.path.length) return false;
  return toPointer(span.path.slice(0, -1)) === toPointer(before.path.slice(0, -1));
}

/** Bounds of the line that a list is judged as. */
const MAX_ARGUMENTS = 40;
const MAX_ARGUMENT_CHARS = 128;
const MAX_SECRET_ARGUMENTS = 4;

/** The arguments that are secret in the line that the items of a list make: `["redis-cli", "-a", "x"]`. */
function secretArguments(list: readonly Span[]): Span[] {
  let words = list.slice(0, MAX_ARGUMENTS).map((span) => ({ span, text: String(span.value).slice(0, MAX_ARGUMENT_CHARS) }));
  const found: Span[] = [];
  while (found.length < MAX_SECRET_ARGUMENTS && words.some(({ text }) => text.startsWith('-'))) {
    const end = gearEnd(words.map(({ text }) => text).join(' '));
    if (end === undefined) break;
    let start = 0;
    const index = words.findIndex(({ text }) => {
      start += text.length + 1;
      return end < start;
    });
    const secret = words[index];
    if (secret === undefined) break;
    found.push(secret.span);
    // Without it and its flag, the next one is found.
    const flag = words[index - 1]?.text.startsWith('-') ? index - 1 : index;
    words = [...words.slice(0, flag), ...words.slice(index + 1)];
  }
  return found;
}
