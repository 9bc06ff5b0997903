import { createHash } from 'node:crypto';
import { crc32, deflateSync } from 'node:zlib';
import { type Limits, maxPackObjects } from '../limits.ts';
import { gitProblem, isProblem } from '../problems.ts';
import {
  deltaSizes,
  type EntryHeader,
  inflateEntry,
  invalidPack,
  objectId,
  type PackView,
  packView,
  type RawObject,
  readAt,
  readEntryHeader,
} from './pack.ts';

type Item = { oid: string; offset: number; crc: number };

export type IndexedPack = {
  /** The complete pack: `completed` appends the bases that a thin pack lacks. */
  pack: Buffer;
  /** Its index, version 2, as Git stores it next to the pack. */
  idx: Buffer;
  /** The pack's checksum: Git's name for it. */
  name: string;
};

/** Hosts write most bases first. Without this limit, a pack in reverse order would take quadratic time. */
const MAX_ROUNDS = 64;
const TYPE_BITS = { commit: 1, tree: 2, blob: 3, tag: 4 };

/**
 * Checks a received pack and builds its index. It inflates every object once, within `limits`, and hashes it.
 * @param outside reads a base that a thin pack refers to
 * @throws Problem `git_too_large`, `git_transfer_damaged`, `git_object_invalid`, `git_object_missing`
 */
export function indexPack(bytes: Buffer, limits: Limits, outside?: (oid: string) => RawObject | undefined): IndexedPack {
  const count = checkFrame(bytes, limits);
  const offsets = new Map<string, number>();
  const borrowed = new Map<string, RawObject>();
  let borrowedBytes = 0;
  const view = packView(
    bytes,
    limits,
    (oid) => offsets.get(oid),
    (oid) => {
      const known = borrowed.get(oid);
      const object = known ?? outside?.(oid);
      if (!object || known) return object;
      borrowedBytes += object.bytes.length;
      if (borrowedBytes > limits.maxPackBytes)
        throw gitProblem('git_too_large', `Cannot accept the pack: it builds on more than ${limits.maxPackBytes} bytes of other objects`);
      borrowed.set(oid, object);
      return object;
    },
  );
  const items = asRepositoryDamage(() => scan(view, count, offsets));
  if (borrowed.size === 0)
    return { pack: bytes, idx: writeIndex(items, bytes.subarray(-20)), name: bytes.toString('hex', bytes.length - 20) };
  return completed(bytes, items, borrowed);
}

/** The checksum shows that the pack arrived unchanged, so an invalid object was invalid at the host. */
function asRepositoryDamage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isProblem(error, 'git_object_invalid')) throw error;
    const advice = 'the pack arrived whole, so the repository is damaged at the host; run "git fsck" there';
    throw gitProblem('git_object_invalid', `${error.message}; ${advice}`, { cause: error });
  }
}

function checkFrame(bytes: Buffer, limits: Limits): number {
  const damaged = (why: string) => {
    const advice = 'Bellwether retries the transfer; if this repeats, check proxies and caches on the path, then the log of the host';
    return gitProblem('git_transfer_damaged', `Cannot read the pack, which arrived damaged: ${why}; ${advice}`);
  };
  if (bytes.length < 32 || bytes.toString('latin1', 0, 4) !== 'PACK') throw damaged('it has no header');
  if (!createHash('sha1').update(bytes.subarray(0, -20)).digest().equals(bytes.subarray(-20))) throw damaged('its checksum is wrong');
  if (bytes.readUInt32BE(4) !== 2)
    throw gitProblem('git_unsupported', `Cannot read the pack: its version is ${bytes.readUInt32BE(4)}, must be 2`);
  const count = bytes.readUInt32BE(8);
  const most = maxPackObjects(limits);
  if (count > most) throw gitProblem('git_too_large', `Cannot accept the pack: it has ${count} objects, must be at most ${most}`);
  return count;
}

function scan(view: PackView, count: number, offsets: Map<string, number>): Item[] {
  const items: Item[] = [];
  const waiting: { offset: number; crc: number }[] = [];
  const starts = new Set<number>();
  const addItem = (entry: { offset: number; crc: number }, object: RawObject): void => {
    const oid = objectId(object);
    offsets.set(oid, entry.offset);
    items.push({ oid, ...entry });
  };
  let offset = 12;
  for (let n = 0; n < count; n++) {
    const header = readEntryHeader(view.bytes, offset);
    const { bytes, end } = inflateEntry(view, header);
    const entry = { offset, crc: crc32(view.bytes.subarray(offset, end)) };
    starts.add(offset);
    const object = resolve(view, header, offset, bytes, starts);
    if (object) addItem(entry, object);
    else waiting.push(entry);
    offset = end;
  }
  if (offset !== view.bytes.length - 20) throw invalidPack('it has more than its declared objects');
  resolveWaiting(view, waiting, addItem);
  return items;
}

function resolve(view: PackView, header: EntryHeader, offset: number, bytes: Buffer, starts: Set<number>): RawObject | undefined {
  if (header.kind === 'ofs-delta' || header.kind === 'ref-delta') {
    const size = deltaSizes(bytes).result;
    if (size > view.limits.maxObjectBytes)
      throw gitProblem('git_too_large', `Cannot accept an object of ${size} bytes, must be at most ${view.limits.maxObjectBytes}`);
    if (header.kind === 'ofs-delta' && !starts.has(header.baseAt)) throw invalidPack('a delta refers to what is no object');
    return tryRead(view, offset);
  }
  const object = { type: header.kind, bytes };
  view.cache.set(offset, object);
  return object;
}

/** Bases may follow their deltas, so this function repeats rounds over the unresolved entries until a round resolves none. */
function resolveWaiting(
  view: PackView,
  waiting: { offset: number; crc: number }[],
  addItem: (entry: { offset: number; crc: number }, object: RawObject) => void,
): void {
  let left = waiting;
  for (let round = 1; left.length > 0; round++) {
    if (round > MAX_ROUNDS) throw invalidPack(`its deltas need more than ${MAX_ROUNDS} rounds to resolve`);
    const still = left.filter((entry) => {
      const object = tryRead(view, entry.offset);
      if (object) addItem(entry, object);
      return !object;
    });
    // The repeated read throws the error that names the missing base.
    const first = still[0];
    if (first && still.length === left.length) readAt(view, first.offset);
    left = still;
  }
}

function tryRead(view: PackView, offset: number): RawObject | undefined {
  try {
    return readAt(view, offset);
  } catch (error) {
    if (isProblem(error, 'git_object_missing')) return undefined;
    throw error;
  }
}

/** Works like `git index-pack --fix-thin`: appends the borrowed bases, so that the pack is readable without any other. */
function completed(bytes: Buffer, items: Item[], borrowed: Map<string, RawObject>): IndexedPack {
  const parts = [bytes.subarray(0, -20)];
  let offset = bytes.length - 20;
  const all = [...items];
  const present = new Set(items.map((item) => item.oid));
  for (const [oid, object] of borrowed) {
    if (present.has(oid)) continue;
    const entry = Buffer.concat([entryHeader(object), deflateSync(object.bytes, { level: 1 })]);
    all.push({ oid, offset, crc: crc32(entry) });
    parts.push(entry);
    offset += entry.length;
  }
  const pack = Buffer.concat([...parts, Buffer.alloc(20)]);
  pack.writeUInt32BE(all.length, 8);
  const checksum = createHash('sha1').update(pack.subarray(0, -20)).digest();
  checksum.copy(pack, pack.length - 20);
  return { pack, idx: writeIndex(all, checksum), name: checksum.toString('hex') };
}

function entryHeader(object: RawObject): Buffer {
  const bytes = [];
  let rest = Math.floor(object.bytes.length / 16);
  bytes.push((TYPE_BITS[object.type] << 4) | (object.bytes.length & 15) | (rest ? 128 : 0));
  for (; rest; rest = Math.floor(rest / 128)) bytes.push((rest & 127) | (rest > 127 ? 128 : 0));
  return Buffer.from(bytes);
}

/** gitformat-pack(5), version 2. Offsets need eight bytes only at 2 GiB and above; packs stay far below that. */
function writeIndex(unsorted: Item[], packChecksum: Buffer): Buffer {
  const items = unsorted.sort((a, b) => (a.oid < b.oid ? -1 : 1));
  const idx = Buffer.alloc(8 + 1024 + items.length * 28 + 40);
  idx.writeUInt32BE(0xff744f63, 0);
  idx.writeUInt32BE(2, 4);
  const names = 8 + 1024;
  const crcs = names + items.length * 20;
  const offsets = crcs + items.length * 4;
  const counts = new Uint32Array(256);
  for (const [n, item] of items.entries()) {
    idx.write(item.oid, names + n * 20, 'hex');
    idx.writeUInt32BE(item.crc, crcs + n * 4);
    idx.writeUInt32BE(item.offset, offsets + n * 4);
    const first = idx[names + n * 20] ?? 0;
    counts[first] = (counts[first] ?? 0) + 1;
  }
  let total = 0;
  for (const [first, number] of counts.entries()) {
    total += number;
    idx.writeUInt32BE(total, 8 + first * 4);
  }
  packChecksum.copy(idx, idx.length - 40);
  createHash('sha1')
    .update(idx.subarray(0, -20))
    .digest()
    .copy(idx, idx.length - 20);
  return idx;
}
