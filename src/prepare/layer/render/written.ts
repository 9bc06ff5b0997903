import { Drop, toValue } from 'liquidjs';
import { exactScalar, rawJson } from '../../../document/exact.ts';
import type { ScalarNode } from '../../../document/node.ts';

/**
 * A scalar of a variables file for templates. One that its file spells in another way than JavaScript would, such as `0042`, `1.30` or `12e4`,
 * prints as it is written.
 */
export function writtenValue(node: ScalarNode): unknown {
  const { value, raw, style } = node;
  if (style !== 'plain' || String(value) === raw) return value;
  if (typeof value === 'number') return new WrittenNumber(value, node);
  return typeof value === 'boolean' ? new WrittenSwitch(value, raw) : value;
}

/** Each value once, numbers and switches by their spelling. */
export function uniqueValues(values: readonly unknown[]): unknown[] {
  const seen = new Set<unknown>();
  return values.filter((value) => seen.size < seen.add(spellingOf(value)).size);
}

/** A key that is equal for equal values: two places of one spelling are the same. Numbers and switches stay apart from texts. */
export function spellingOf(value: unknown): unknown {
  return value instanceof WrittenNumber || value instanceof WrittenSwitch ? `\0${value.toString()}` : value;
}

const INDEX = /^(?:0|[1-9]\d*)$/;

/** A map in the order of its file. JavaScript itself would put names such as `100` first, sorted. */
export function orderedMap(members: ReadonlyMap<string, unknown>): Record<string, unknown> {
  const map: Record<string, unknown> = Object.fromEntries(members);
  const names = [...members.keys()];
  return names.some((name) => INDEX.test(name)) ? new Proxy(map, { ownKeys: () => names }) : map;
}

/** Calculates and compares as a number. Filters of texts, and `join`, take it as it is written. */
export class WrittenNumber {
  readonly node: ScalarNode;
  private readonly value: number;

  constructor(value: number, node: ScalarNode) {
    this.value = value;
    this.node = node;
  }

  valueOf(): number {
    return this.value;
  }

  toString(): string {
    return this.node.raw;
  }

  // Liquid compares what has these five methods by them.
  equals(other: unknown): boolean {
    const [own, others] = exactPair(this, other);
    return own === others;
  }

  gt(other: unknown): boolean {
    const [own, others] = exactPair(this, other);
    return own > others;
  }

  geq(other: unknown): boolean {
    const [own, others] = exactPair(this, other);
    return own >= others;
  }

  lt(other: unknown): boolean {
    const [own, others] = exactPair(this, other);
    return own < others;
  }

  leq(other: unknown): boolean {
    const [own, others] = exactPair(this, other);
    return own <= others;
  }
}

/** Two numbers to compare: exact when both come from files, since a template's own numbers are rounded. */
function exactPair(one: WrittenNumber, other: unknown): [number | bigint, number | bigint] {
  const [own, others] = [one, other].map((value) => (value instanceof WrittenNumber ? exactScalar(value.node) : null));
  if (typeof own === 'bigint' && typeof others === 'bigint') return [own, others];
  return [one.valueOf(), numberIn(other)];
}

/** NaN, which is neither equal, less nor more, for what is no number. */
function numberIn(value: unknown): number {
  const plain: unknown = value instanceof WrittenNumber ? value.valueOf() : toValue(value);
  return typeof plain === 'number' ? plain : Number.NaN;
}

/** `True`, `FALSE`. Liquid asks a Drop for its value where it decides. */
export class WrittenSwitch extends Drop {
  private readonly value: boolean;
  private readonly raw: string;

  constructor(value: boolean, raw: string) {
    super();
    this.value = value;
    this.raw = raw;
  }

  override valueOf(): boolean {
    return this.value;
  }

  override toString(): string {
    return this.raw;
  }
}

/** A number that JSON has no spelling for: `0042`, `0x1F`, `.inf`. */
export class NoJsonNumber extends Error {
  readonly node: ScalarNode;

  constructor(node: ScalarNode) {
    super('prints a number by "| json" in a spelling that JSON does not have');
    this.node = node;
  }
}

const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** @param charge gets the number of characters that each value adds @throws NoJsonNumber */
export function writeJson(value: unknown, space: unknown, charge: (chars: number) => void): string {
  const replacer = (_name: string, inner: unknown): unknown => {
    if (inner instanceof WrittenNumber) {
      const raw = inner.toString();
      if (!JSON_NUMBER.test(raw)) throw new NoJsonNumber(inner.node);
      charge(raw.length);
      return rawJson(raw);
    }
    const plain: unknown = toValue(inner);
    if (typeof plain === 'number' && !Number.isFinite(plain)) return null;
    charge(charsOf(plain));
    return plain;
  };
  // JSON knows no undefined; Liquid takes it for nil.
  return JSON.stringify(value, replacer, typeof space === 'number' ? space : 0) ?? 'null';
}

function charsOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (Array.isArray(value)) return value.length + 1;
  return typeof value === 'object' && value !== null ? 2 : String(value).length;
}
