import { createHash } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { LRUCache } from 'lru-cache';
import type { Limits } from '../limits.ts';
import { gitProblem } from '../problems.ts';

/** Reads Git packs, version 2 (gitformat-pack(5)), and checks every size before it allocates memory. */

export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag';
export type RawObject = { type: ObjectType; bytes: Buffer };
export type EntryHeader = {
  kind: ObjectType | 'ofs-delta' | 'ref-delta';
  /** Inflated bytes of the object, or of the delta's instructions. */
  size: number;
  dataAt: number;
  /** The offset of an `ofs-delta`'s base. */
  baseAt: number;
  /** The id of a `ref-delta`'s base. */
  baseOid: string;
};

const KINDS: Record<number, EntryHeader['kind']> = { 1: 'commit', 2: 'tree', 3: 'blob', 4: 'tag', 6: 'ofs-delta', 7: 'ref-delta' };
/** Git itself never writes longer chains (pack.depth is at most 4095). */
const MAX_CHAIN = 4096;
/** Limit of one chain's deltas together, as a multiple of `maxObjectBytes`. */
const MAX_CHAIN_OBJECTS = 2;
const CACHE_BYTES = 48 * 1024 * 1024;

export type PackView = {
  bytes: Buffer;
  limits: Limits;
  /** Resolved objects by offset. */
  cache: LRUCache<number, RawObject>;
  /** Returns the offset of an object in this pack. */
  locate(oid: string): number | undefined;
  /** Reads a base that this thin pack lacks. */
  outside?(oid: string): RawObject | undefined;
  /** Remaining bytes that the view may inflate. */
  budget: number;
};

export function packView(bytes: Buffer, limits: Limits, locate: PackView['locate'], outside?: PackView['outside']): PackView {
  const cache = new LRUCache<number, RawObject>({ maxSize: CACHE_BYTES, sizeCalculation: (object) => object.bytes.length + 64 });
  return { bytes, limits, cache, locate, outside, budget: limits.maxInflatedBytes };
}

/**
 * Reads the object at an offset and resolves its chain of deltas without recursion.
 * @throws Problem `git_object_invalid`, `git_too_large`, `git_object_missing` (a missing base)
 */
export function readAt(view: PackView, offset: number): RawObject {
  const deltas: { at: number; bytes: Buffer }[] = [];
  let at = offset;
  let base = view.cache.get(at);
  let deltaBytes = 0;
  while (!base) {
    const header = readEntryHeader(view.bytes, at);
    const { bytes } = inflateEntry(view, header);
    if (header.kind !== 'ofs-delta' && header.kind !== 'ref-delta') {
      base = { type: header.kind, bytes };
      view.cache.set(at, base);
      break;
    }
    if (deltas.push({ at, bytes }) > MAX_CHAIN) throw invalidPack(`a chain of deltas has more than ${MAX_CHAIN} links`);
    deltaBytes += bytes.length;
    // All deltas of the chain stay in memory until their base is found. A regular delta is never larger than its result.
    const most = view.limits.maxObjectBytes * MAX_CHAIN_OBJECTS;
    if (deltaBytes > most) throw gitProblem('git_too_large', `Cannot accept the pack: a chain of deltas has more than ${most} bytes`);
    const next = header.kind === 'ofs-delta' ? header.baseAt : view.locate(header.baseOid);
    base = next === undefined ? outsideBase(view, header.baseOid) : view.cache.get(next);
    if (next !== undefined) at = next;
  }
  for (const delta of deltas.reverse()) {
    base = { type: base.type, bytes: applyDelta(view, base.bytes, delta.bytes) };
    view.cache.set(delta.at, base);
  }
  return base;
}

/** Returns the size of the object at an offset with its deltas resolved. */
export function sizeAt(view: PackView, offset: number): number {
  const header = readEntryHeader(view.bytes, offset);
  return header.kind === 'ofs-delta' || header.kind === 'ref-delta' ? deltaSizes(inflateEntry(view, header).bytes).result : header.size;
}

export function readEntryHeader(pack: Buffer, offset: number): EntryHeader {
  let at = offset;
  const next = (): number => {
    const byte = pack[at++];
    // The last 20 bytes are the pack's checksum.
    if (byte === undefined || at > pack.length - 20) throw invalidPack('it breaks off');
    return byte;
  };
  let byte = next();
  const kind = KINDS[(byte >> 4) & 7];
  if (!kind) throw invalidPack(`it has an object of the unknown type ${(byte >> 4) & 7}`);
  let size = byte & 15;
  for (let factor = 16; byte & 128; factor *= 128) {
    byte = next();
    size += (byte & 127) * factor;
    if (size > Number.MAX_SAFE_INTEGER) throw invalidPack('an object has an impossible size');
  }
  let baseAt = -1;
  let baseOid = '';
  if (kind === 'ofs-delta') {
    byte = next();
    let distance = byte & 127;
    while (byte & 128) {
      byte = next();
      distance = (distance + 1) * 128 + (byte & 127);
    }
    baseAt = offset - distance;
    if (distance === 0 || baseAt < 12) throw invalidPack('a delta refers to a base outside of it');
  } else if (kind === 'ref-delta') {
    baseOid = pack.toString('hex', at, at + 20);
    at += 20;
  }
  return { kind, size, dataAt: at, baseAt, baseOid };
}

/** @returns the entry's inflated bytes and where the next entry begins */
export function inflateEntry(view: PackView, header: EntryHeader): { bytes: Buffer; end: number } {
  spend(view, header.size);
  const chunkSize = Math.min(Math.max(header.size + 16, 64), 1024 * 1024);
  // Inflating stops at the declared size, since one more byte is already an error.
  const options = { info: true, maxOutputLength: Math.max(header.size, 1), chunkSize };
  let result: unknown;
  try {
    result = inflateSync(view.bytes.subarray(header.dataAt, view.bytes.length - 20), options);
  } catch (cause) {
    throw invalidPack('an object cannot be inflated to its declared size', cause);
  }
  if (!isInflated(result) || result.buffer.length !== header.size) throw invalidPack('an object does not have its declared size');
  return { bytes: result.buffer, end: header.dataAt + result.engine.bytesWritten };
}

export function objectId(object: RawObject): string {
  return createHash('sha1').update(`${object.type} ${object.bytes.length}\0`).update(object.bytes).digest('hex');
}

export function deltaSizes(delta: Buffer): { base: number; result: number; at: number } {
  const base = varint(delta, 0);
  const result = varint(delta, base.at);
  return { base: base.value, result: result.value, at: result.at };
}

export function invalidPack(why: string, cause?: unknown) {
  return gitProblem('git_object_invalid', `Cannot read the pack: ${why}`, { cause });
}

function outsideBase(view: PackView, oid: string): RawObject {
  const object = view.outside?.(oid);
  if (!object) throw gitProblem('git_object_missing', `Cannot read the pack: the base "${oid}" of a delta is missing`);
  return object;
}

function applyDelta(view: PackView, base: Buffer, delta: Buffer): Buffer {
  const sizes = deltaSizes(delta);
  if (sizes.base !== base.length) throw invalidPack(`a delta is for a base of ${sizes.base} bytes, but its base has ${base.length}`);
  spend(view, sizes.result);
  const result = Buffer.allocUnsafe(sizes.result);
  let to = 0;
  let at = sizes.at;
  while (at < delta.length) {
    const code = delta[at++] ?? 0;
    if (code === 0) throw invalidPack('a delta has a reserved instruction');
    let from = at;
    let length = code;
    let source = delta;
    if (code & 128) {
      source = base;
      const copy = copyInstruction(delta, at, code);
      ({ at, from, length } = copy);
    } else {
      at += length;
    }
    if (from + length > source.length || to + length > sizes.result) throw invalidPack('a delta reaches beyond its bounds');
    source.copy(result, to, from, from + length);
    to += length;
  }
  if (to !== sizes.result) throw invalidPack(`a delta gives ${to} bytes, must be ${sizes.result}`);
  return result;
}

function copyInstruction(delta: Buffer, start: number, code: number): { at: number; from: number; length: number } {
  let at = start;
  let from = 0;
  let length = 0;
  for (let bit = 0; bit < 4; bit++) if (code & (1 << bit)) from += (delta[at++] ?? 0) * 256 ** bit;
  for (let bit = 0; bit < 3; bit++) if (code & (16 << bit)) length += (delta[at++] ?? 0) * 256 ** bit;
  return { at, from, length: length || 0x10000 };
}

function varint(bytes: Buffer, start: number): { value: number; at: number } {
  let value = 0;
  let at = start;
  for (let factor = 1; ; factor *= 128) {
    const byte = bytes[at++];
    if (byte === undefined || factor > 128 ** 6) throw invalidPack('a delta breaks off');
    value += (byte & 127) * factor;
    if (!(byte & 128)) return { value, at };
  }
}

function spend(view: PackView, bytes: number): void {
  const { maxObjectBytes, maxInflatedBytes } = view.limits;
  if (bytes > maxObjectBytes)
    throw gitProblem('git_too_large', `Cannot accept an object of ${bytes} bytes, must be at most ${maxObjectBytes}`);
  view.budget -= bytes;
  if (view.budget < 0) throw gitProblem('git_too_large', `Cannot accept the pack: it inflates to more than ${maxInflatedBytes} bytes`);
}

function isInflated(value: unknown): value is { buffer: Buffer; engine: { bytesWritten: number } } {
  if (typeof value !== 'object' || value === null || !('buffer' in value) || !('engine' in value)) return false;
  const { buffer, engine } = value;
  return Buffer.isBuffer(buffer) && typeof engine === 'object' && engine !== null && 'bytesWritten' in engine;
}
