import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DESIRED_WITH_ARCHIVE, INLINE_BYTES, splitDesired } from '../../src/wire/agent.ts';
import { extractArchive } from '../../src/wire/archive.ts';
import { openScene } from '../support/scene.ts';
import { eventually } from '../support/service.ts';

const MANIFEST = `apiVersion: bellwether/v1
kind: DeviceConfig
files:
  - from: small.txt
  - from: large.txt
  - from: last.txt
`;
/** Larger than the bundles that are sent from memory. */
const CONTENT = { big: Array.from({ length: 30_000 }, (_, line) => `line ${line}\n`).join(''), little: 'not so large' };

let scene: Awaited<ReturnType<typeof openScene>>;
const IDS = ['big', 'little'] as const;
type Id = (typeof IDS)[number];
const devices = {} as Record<Id, { digest: string; headers: Record<string, string> }>;
beforeAll(async () => {
  scene = await openScene();
  for (const id of IDS) {
    const files = { 'bellwether.yaml': MANIFEST, 'small.txt': 'small', 'large.txt': CONTENT[id], 'last.txt': 'last' };
    const source = await scene.source(id);
    const { apiKey } = (await scene.api('POST', '/devices', { id, sourceId: source.id })).body;
    await scene.push(id, source, files);
    const digest = await eventually(
      'its bundle is there',
      async () => (await scene.status(id)).device.desired?.bundle as string | undefined,
    );
    devices[id] = { digest, headers: { 'x-device-id': id, 'x-api-key': apiKey } };
  }
});
afterAll(() => scene[Symbol.asyncDispose]());

const fetchBundle = (id: Id, headers: Record<string, string> = {}) => {
  const { digest, headers: own } = devices[id];
  return fetch(`${scene.service.url}/agent/v1/bundles/${digest}`, { headers: { ...own, ...headers } });
};
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

test.each(IDS)('the %s bundle arrives complete with its length, and every range of it is correct', async (id) => {
  const response = await fetchBundle(id);
  const whole = await bytesOf(response);
  expect([response.status, Number(response.headers.get('content-length'))]).toEqual([200, whole.length]);
  const files: Record<string, number> = {};
  await extractArchive(ReadableStream.from([whole]), {
    digest: devices[id].digest,
    maxBytes: 10_000_000,
    writeFile: ({ path, size }) => {
      files[path] = size;
    },
  });
  expect(files).toEqual({ 'small.txt': 5, 'large.txt': CONTENT[id].length, 'last.txt': 4 });
  const last = whole.length - 1;
  for (const [range, start, end] of [
    ['bytes=0-0', 0, 0],
    ['bytes=700-2500', 700, 2500],
    [`bytes=${last - 2000}-`, last - 2000, last],
    ['bytes=-1', last, last],
    [`bytes=100-${last + 99}`, 100, last],
  ] as const) {
    const part = await fetchBundle(id, { range });
    expect([part.status, part.headers.get('content-range')], range).toEqual([206, `bytes ${start}-${end}/${whole.length}`]);
    expect((await bytesOf(part)).equals(whole.subarray(start, end + 1)), range).toBe(true);
  }
  const beyond = await fetchBundle(id, { range: `bytes=${whole.length}-` });
  expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${whole.length}`]);
  expect((await fetchBundle(id, { 'if-none-match': `"${devices[id].digest}"` })).status).toBe(304);
});

test('a small bundle follows the signed state on request; a larger one does not, nor without the request', async () => {
  const desired = (id: Id, query: string) =>
    fetch(`${scene.service.url}/agent/v1/desired${query}`, { headers: { ...devices[id].headers, 'if-none-match': '"0"' } });
  const together = await desired('little', `?inline=${INLINE_BYTES}&wait=5`);
  expect([together.status, together.headers.get('content-type')]).toEqual([200, DESIRED_WITH_ARCHIVE]);
  const { jws, archive } = splitDesired(await bytesOf(together));
  expect(jws.split('.')).toHaveLength(3);
  expect(archive?.equals(await bytesOf(await fetchBundle('little')))).toBe(true);
  for (const [id, query] of [
    ['big', `?inline=${10_000_000}`],
    ['little', '?inline=100'],
    ['little', '?inline=much'],
    ['little', '?inline=-1'],
    ['little', ''],
  ] as const) {
    const alone = await desired(id, query);
    expect([alone.status, alone.headers.get('content-type')], query).toEqual([200, 'application/jose']);
    expect(splitDesired(await bytesOf(alone)).archive, query).toBe(null);
  }
});

test('many devices at once get the same bytes', async () => {
  const first = await bytesOf(await fetchBundle('big'));
  const all = await Promise.all(Array.from({ length: 40 }, async (_, n) => bytesOf(await fetchBundle(n % 2 === 0 ? 'big' : 'little'))));
  expect(all.filter((_, n) => n % 2 === 0).every((bytes) => bytes.equals(first))).toBe(true);
  expect(new Set(all.map((bytes) => bytes.length)).size).toBe(2);
});

test('a device that disconnects during a download does not affect the downloads of others', async () => {
  const { digest, headers } = devices.big;
  const { hostname, port } = new URL(scene.service.url);
  const lines = [`GET /agent/v1/bundles/${digest} HTTP/1.1`, 'host: x', ...Object.entries(headers).map((pair) => pair.join(': ')), '', ''];
  for (let round = 0; round < 5; round += 1) {
    const socket = connect(Number(port), hostname, () => socket.write(lines.join('\r\n')));
    await new Promise((done) => socket.once('data', done));
    socket.destroy();
  }
  const whole = await fetchBundle('big');
  expect((await bytesOf(whole)).length).toBe(Number(whole.headers.get('content-length')));
});

test('a bundle that does not exist is not found', async () => {
  const response = await fetch(`${scene.service.url}/agent/v1/bundles/${'0'.repeat(64)}`, { headers: devices.big.headers });
  expect([response.status, await response.json()]).toMatchObject([404, { code: 'bundle_missing' }]);
});
