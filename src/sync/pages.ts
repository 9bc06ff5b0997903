import { integrationProblem } from '../integration/problems.ts';
import type { RemoteDevice, RemotePage } from '../integration/provider.ts';

/** Requests for pages in flight. The integration's own slots may allow fewer. */
const PAGES_AT_ONCE = 4;

type List = (cursor: string | null, signal: AbortSignal) => Promise<RemotePage>;
/** `next`: cursor of the page that follows; null: this was the last one. */
type Page = { devices: RemoteDevice[]; next: string | null };
type Asked = { cursor: string | null; answer: Promise<[PromiseSettledResult<RemotePage>]> };

/**
 * Reads all pages in their order. It asks for several at once where the platform names the cursors of the pages that follow, and else for the next one
 * while the caller works on this one. At most that many pages are in memory.
 * @param from cursor of the first page; null: the first one of all
 */
export async function* readPages(list: List, from: string | null, signal: AbortSignal): AsyncGenerator<Page> {
  const ask = (cursor: string | null): Asked => ({ cursor, answer: Promise.allSettled([list(cursor, signal)]) });
  const asked = [ask(from)];
  let known: string[] = [];
  for (let current = asked.shift(); current !== undefined; current = asked.shift()) {
    const [result] = await current.answer;
    if (result.status === 'rejected') throw result.reason;
    const page = result.value;
    if (asked.length === 0 && known.length === 0) known = followersOf(page, current.cursor);
    while (asked.length < PAGES_AT_ONCE) {
      const cursor = known.shift();
      if (cursor === undefined) break;
      asked.push(ask(cursor));
    }
    yield { devices: page.devices, next: asked[0]?.cursor ?? null };
  }
}

function followersOf({ next, following }: RemotePage, cursor: string | null): string[] {
  if (next !== null && next === cursor)
    throw integrationProblem('integration_protocol', `Cannot list the devices: page "${next}" names itself as the next one`);
  if (following !== undefined && following.length > 0) return [...following];
  return next === null ? [] : [next];
}
