import { createHash } from 'node:crypto';
import type { Limits } from '../limits.ts';
import { gitProblem } from '../problems.ts';
import { invalidPack, objectId, type PackView, packView, type RawObject, readAt, sizeAt } from './pack.ts';

/** Reads objects by id from one or more packs. */
export type PackReader = {
  has(oid: string): boolean;
  /**
   * Returns the object, or undefined when no pack has it. The reader hashes each object, so it never returns content damaged on the disk.
   * @throws Problem `git_object_invalid`, and `git_too_large` when it has more than `maxBytes`
   */
  read(oid: string, maxBytes?: number): RawObject | undefined;
};

const NAMES_AT = 8 + 1024;

export function packReader(packs: { pack: Buffer; idx: Buffer }[], limits: Limits): PackReader {
  const views = packs.map((files) => openPack(files, limits));
  return {
    has: (oid) => views.some((view) => view.locate(oid) !== undefined),
    read(oid, maxBytes = limits.maxObjectBytes) {
      for (const view of views) {
        const offset = view.locate(oid);
        if (offset !== undefined) return readChecked(view, offset, oid, maxBytes);
      }
      return undefined;
    },
  };
}

function openPack({ pack, idx }: { pack: Buffer; idx: Buffer }, limits: Limits): PackView {
  checkIndex(pack, idx);
  // The budget applies only to received packs. A stored pack was checked on arrival, and each object stays within its own limit.
  const view = packView(pack, limits, (oid) => locate(idx, oid));
  view.budget = Number.POSITIVE_INFINITY;
  return view;
}

function checkIndex(pack: Buffer, idx: Buffer): void {
  if (idx.length < NAMES_AT + 40 || idx.readUInt32BE(0) !== 0xff744f63 || idx.readUInt32BE(4) !== 2)
    throw invalidPack('its index has no header');
  const count = idx.readUInt32BE(8 + 255 * 4);
  if (idx.length !== NAMES_AT + count * 28 + 40) throw invalidPack('its index has the wrong length');
  if (!createHash('sha1').update(idx.subarray(0, -20)).digest().equals(idx.subarray(-20)))
    throw invalidPack("its index's checksum is wrong");
  if (!pack.subarray(-20).equals(idx.subarray(-40, -20))) throw invalidPack('its index belongs to another pack');
}

function locate(idx: Buffer, oid: string): number | undefined {
  const wanted = Buffer.from(oid, 'hex');
  const first = wanted[0];
  if (wanted.length !== 20 || first === undefined) return undefined;
  let low = first === 0 ? 0 : idx.readUInt32BE(8 + (first - 1) * 4);
  let high = idx.readUInt32BE(8 + first * 4);
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = NAMES_AT + middle * 20;
    const order = wanted.compare(idx, at, at + 20);
    if (order === 0) return idx.readUInt32BE(NAMES_AT + idx.readUInt32BE(8 + 255 * 4) * 24 + middle * 4);
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return undefined;
}

function readChecked(view: PackView, offset: number, oid: string, maxBytes: number): RawObject {
  const size = view.cache.get(offset)?.bytes.length ?? sizeAt(view, offset);
  if (size > maxBytes) throw gitProblem('git_too_large', `Cannot read object "${oid}": it has ${size} bytes, must be at most ${maxBytes}`);
  const object = readAt(view, offset);
  if (objectId(object) !== oid) throw gitProblem('git_object_invalid', `Cannot read object "${oid}": its bytes have another id`);
  return object;
}
