import { isRecord, toPointer, valueAt } from '../../document/document.ts';
import { isSecretValue } from '../../revision/secret/secret.ts';
import { holdsSecret } from '../../revision/secret/text.ts';
import type { Variables } from './layer.ts';
import { existingPath, leafPaths } from './merge-patch.ts';
import { WrittenNumber } from './render/written.ts';

/**
 * Twins of the variables: the same, but for each secret another one of the same shape. Where a template makes the same text of a device's
 * variables and of their twins, no secret had a part in it; whatever differs comes from a secret, in whatever way the template changed it.
 */
export type Twins = {
  /** Whether a template that reads these paths sees a secret. */
  concern(reads: readonly (readonly string[])[]): boolean;
  /** As `Variables.written`. */
  written(): readonly Record<string, unknown>[];
};

/** Two, since one may have the same character as the secret where a template sorts or counts. */
const ROUNDS = [1, 2];

export function twinsOf(variables: Variables): Twins {
  let secrets: Secrets | undefined;
  let twins: Record<string, unknown>[] | undefined;
  const found = () => {
    secrets ??= secretsIn(variables);
    return secrets;
  };
  return {
    concern: (reads) => {
      if (found().pointers.size === 0) return false;
      return reads.some((path) => {
        const there = existingPath(variables.value, path);
        // A name that another variable gives may be any name.
        if (path.length === 0) return true;
        return there.length > 0 && found().paths.some((secret) => isPrefix(there, secret) || isPrefix(secret, there));
      });
    },
    written: () => {
      twins ??= ROUNDS.map((round) => {
        const twin = replaced(variables.written, [], found().pointers, round);
        return isRecord(twin) ? twin : {};
      });
      return twins;
    },
  };
}

type Secrets = { paths: (readonly string[])[]; pointers: Set<string> };

/** A shorter value is that of many a variable. */
const MIN_SHARED_CHARS = 4;

function secretsIn({ value }: Variables): Secrets {
  const leaves = leafPaths(value).map((path) => ({ path, value: valueAt(value, path) }));
  const telling = leaves.filter((leaf) => (typeof leaf.value === 'string' && leaf.value !== '') || typeof leaf.value === 'number');
  const secret = telling.filter((leaf) => isSecretValue(leaf.path, leaf.value) || holdsSecret(leaf.value));
  // A variable that has the value of a secret one is the same secret.
  const values = new Set(secret.map((leaf) => String(leaf.value)).filter((text) => text.length >= MIN_SHARED_CHARS));
  const paths = telling.filter((leaf) => secret.includes(leaf) || values.has(String(leaf.value))).map(({ path }) => path);
  return { paths, pointers: new Set(paths.map(toPointer)) };
}

function isPrefix(path: readonly string[], of: readonly string[]): boolean {
  return path.length <= of.length && path.every((name, index) => name === of[index]);
}

function replaced(value: unknown, path: readonly string[], secrets: ReadonlySet<string>, round: number): unknown {
  if (Array.isArray(value)) return value.map((item, index) => replaced(item, [...path, String(index)], secrets, round));
  if (isPlainRecord(value)) {
    const members = Object.entries(value).map(([name, inner]) => [name, replaced(inner, [...path, name], secrets, round)]);
    return Object.assign(Object.create(Object.getPrototypeOf(value)), Object.fromEntries(members));
  }
  return secrets.has(toPointer(path)) ? twinOf(value, round) : value;
}

function isPlainRecord(value: unknown): value is Record<string, unknown> {
  if (!isRecord(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** Another value of the same kind, length and classes of characters, that has at no place the same letter or digit. */
export function twinOf(value: unknown, round: number): unknown {
  if (typeof value === 'string') return twinText(value, round);
  if (typeof value === 'number') return twinNumber(String(value), value, round);
  if (!(value instanceof WrittenNumber)) return value;
  const raw = twinText(value.node.raw, round);
  const number = twinNumber(raw, value.valueOf(), 0);
  return new WrittenNumber(number, { ...value.node, value: number, raw });
}

function twinNumber(text: string, value: number, round: number): number {
  const twin = Number(round === 0 ? text : twinText(text, round));
  return Number.isFinite(twin) && twin !== value ? twin : value + round + 1;
}

function twinText(text: string, round: number): string {
  const isOfSigns = !/[\p{L}\p{N}]/u.test(text);
  let index = 0;
  let twin = '';
  for (const character of text) {
    index += 1;
    twin += isOfSigns ? 'xyz'.charAt((index + round) % 3) : twinCharacter(character, index, round);
  }
  return twin;
}

function twinCharacter(character: string, index: number, round: number): string {
  if (/[1-9]/.test(character)) return String(((Number(character) - 1 + 1 + ((index * 3 + round * 5) % 8)) % 9) + 1);
  if (character === '0') return String(((index * 3 + round * 5) % 9) + 1);
  if (/[a-z]/.test(character)) return turned(character, 97, index, round);
  if (/[A-Z]/.test(character)) return turned(character, 65, index, round);
  if (/\p{Ll}/u.test(character)) return 'éøåñ'.replace(character, '').charAt(round);
  if (/\p{Lu}/u.test(character)) return 'ÉØÅÑ'.replace(character, '').charAt(round);
  if (/[\p{L}\p{N}]/u.test(character)) return '日本語水'.replace(character, '').charAt(round);
  return character;
}

function turned(character: string, first: number, index: number, round: number): string {
  return String.fromCharCode(first + ((character.charCodeAt(0) - first + 1 + ((index * 7 + round * 11) % 25)) % 26));
}
