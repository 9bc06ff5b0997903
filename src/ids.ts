import { randomBytes } from 'node:crypto';

/** How ids are written, ours and what may be one of them. */
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const COUNTER_BITS = 12;
const COUNTER_END = 1 << COUNTER_BITS;

/** Drawn for hundreds of ids at a time: one by one the drawing would cost more than all the rest. */
const POOL_BYTES = 4096;

let pool = Buffer.alloc(0);
let lastMs = 0;
let counter = 0;

/**
 * A UUIDv7 (RFC 9562): sorts by time of creation, and strictly ascends within this process, also when the clock steps back or
 * more ids are drawn in one millisecond than the counter holds (then the timestamp runs ahead by a millisecond).
 */
export function newId(nowMs: number = Date.now()): string {
  tick(Math.floor(nowMs));
  const bytes = takeRandom(16);
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | counter, 6);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString('hex');
  // Joined, it is one string of its own; put together in a template it would stay a tree of fourteen for as long as it is kept, and it often is.
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** RFC 9562, section 6.2, method 1: a counter in rand_a, seeded at random each millisecond with its top bit clear to leave room. */
function tick(nowMs: number): void {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    counter = takeRandom(2).readUInt16BE() % (COUNTER_END / 2);
    return;
  }
  counter += 1;
  if (counter < COUNTER_END) return;
  lastMs += 1;
  counter = 0;
}

/** Bytes that nobody has got before; the caller may overwrite them. */
function takeRandom(count: number): Buffer {
  if (pool.length < count) pool = randomBytes(POOL_BYTES);
  const taken = pool.subarray(0, count);
  pool = pool.subarray(count);
  return taken;
}
