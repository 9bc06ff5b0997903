import { expect, test } from 'vitest';
import type { RemoteDevice, RemotePage } from '../../src/integration/provider.ts';
import { readPages } from '../../src/sync/read/pages.ts';

const signal = new AbortController().signal;
const device = (externalId: string) => ({ externalId }) as RemoteDevice;
const numbered = (page: number, devices: RemoteDevice[]): RemotePage => ({ devices, next: String(page + 1), total: null });

async function idsOf(list: (page: number) => RemotePage): Promise<string[]> {
  const ids: string[] = [];
  for await (const { devices } of readPages(async (cursor) => list(Number(cursor ?? 0)), null, signal))
    ids.push(...devices.map(({ externalId }) => externalId));
  return ids;
}

test.each<[string, (page: number) => string]>([
  ['ignores the page', () => 'a'],
  ['goes round in a circle of three', (page) => `d${page % 3}`],
  ['begins to repeat itself late', (page) => `d${Math.min(page, 20)}`],
  ['never ends', (page) => `d${page}`],
])('a list that %s ends with a clear error', async (_, idAt) => {
  const walk = idsOf((page) => numbered(page, [device(idAt(page))]));
  await expect(walk).rejects.toMatchObject({ code: 'integration_protocol', message: expect.stringContaining('the same page again') });
});

test('empty pages in between are no repetition', async () => {
  const pages = [['a'], [], [], [], ['b'], []].map((ids, page) => ({
    ...numbered(page, ids.map(device)),
    ...(page === 5 && { next: null }),
  }));
  expect(await idsOf((page) => pages[page]!)).toEqual(['a', 'b']);
});
