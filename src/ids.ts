import { randomBytes } from 'node:crypto';

/** Spelling of ids: the service's own, and texts from clients that may be one. */
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const COUNTER_BITS = 12;
const COUNTER_END = 1 << COUNTER_BITS;

/** Random bytes for hundreds of ids at a time. One random call per id would cost more than the rest of `newId`. */
const POOL_BYTES = 4096;

let pool = Buffer.alloc(0);
let lastMs = 0;
let counter = 0;

/**
 * Makes a UUIDv7 (RFC 9562). Ids sort by time of creation and strictly ascend within this process, also when the clock steps back. When one
 * millisecond needs more ids than the counter holds, the timestamp runs ahead by a millisecond.
 */
export function newId(nowMs: number = Date.now()): string {
  tick(Math.floor(nowMs));
  const bytes = takeRandom(16);
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes.writeUInt16BE(0x7000 | counter, 6);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString('hex');
  // `join` makes one flat string. A template would keep a tree of fourteen strings in memory as long as the id, which is often long.
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** RFC 9562, section 6.2, method 1: a counter in rand_a that gets a random seed each millisecond. The seed's top bit is 0, which leaves room to count. */
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

/** Returns random bytes that no other caller gets. The caller may overwrite them. */
function takeRandom(count: number): Buffer {
  if (pool.length < count) pool = randomBytes(POOL_BYTES);
  const taken = pool.subarray(0, count);
  pool = pool.subarray(count);
  return taken;
}
