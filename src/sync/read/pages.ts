import { hash } from 'node:crypto';
import { integrationProblem } from '../../integration/problems.ts';
import type { RemoteDevice, RemotePage } from '../../integration/provider.ts';

/** Requests for pages in flight. The integration's own slots may allow fewer. */
const PAGES_AT_ONCE = 4;

/** A list that never ends would fill the disk: 1,000,000 devices of 100 a page. */
const MAX_PAGES = 10_000;

type List = (cursor: string | null, signal: AbortSignal) => Promise<RemotePage>;
/** Pages that arrived together. `next`: cursor of the page that follows them; null: the last one is among them. */
type Pages = { devices: RemoteDevice[]; count: number; next: string | null };
type Asked = { cursor: string | null; answer: Promise<[PromiseSettledResult<RemotePage>]>; hasArrived: boolean };

/**
 * Reads all pages in their order. It asks for several at once where the platform names the cursors of the pages that follow, and else for the next one
 * while the caller works on this one. Pages that arrived while the caller worked come together. At most twice as many as are asked for at once are in
 * memory.
 * @param from cursor of the first page; null: the first one of all
 */
export async function* readPages(list: List, from: string | null, signal: AbortSignal): AsyncGenerator<Pages> {
  const ask = (cursor: string | null): Asked => {
    const asked: Asked = { cursor, answer: Promise.allSettled([list(cursor, signal)]), hasArrived: false };
    void asked.answer.then(() => {
      asked.hasArrived = true;
    });
    return asked;
  };
  const asked = [ask(from)];
  const isRepeated = repetitions();
  let known: string[] = [];
  while (asked.length > 0) {
    const taken: RemotePage[] = [];
    for (let first = asked[0]; first !== undefined && (taken.length === 0 || first.hasArrived); first = asked[0]) {
      if (taken.length === PAGES_AT_ONCE) break;
      const [result] = await first.answer;
      if (result.status === 'rejected') throw result.reason;
      if (isRepeated(result.value))
        throw integrationProblem('integration_protocol', 'Cannot list the devices: the platform shows the same page again and again');
      taken.push(result.value);
      asked.shift();
      if (asked.length === 0 && known.length === 0) known = followersOf(result.value, first.cursor);
      const room = PAGES_AT_ONCE - asked.length;
      asked.push(...known.splice(0, room).map(ask));
    }
    yield { devices: taken.flatMap(({ devices }) => devices), count: taken.length, next: asked[0]?.cursor ?? null };
  }
}

/**
 * Finds a list that goes round in a circle, as of a platform that ignores the number of the page: compares each page with an earlier one, whose number is a
 * power of two (Brent's algorithm). Also true after more pages than a list can have.
 */
function repetitions(): (page: RemotePage) => boolean {
  let [count, earlier] = [0, ''];
  return ({ devices }) => {
    const digest = hash('sha256', JSON.stringify(devices.map(({ externalId }) => externalId)));
    if (count === MAX_PAGES || (devices.length > 0 && digest === earlier)) return true;
    count += 1;
    if ((count & (count - 1)) === 0) earlier = digest;
    return false;
  };
}

function followersOf({ next, following }: RemotePage, cursor: string | null): string[] {
  if (next !== null && next === cursor)
    throw integrationProblem('integration_protocol', `Cannot list the devices: page "${next}" names itself as the next one`);
  if (following !== undefined && following.length > 0) return [...following];
  return next === null ? [] : [next];
}
