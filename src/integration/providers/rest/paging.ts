import { createHash } from 'node:crypto';
import type { Json } from '../../../wire/text/json.ts';
import type { VendorAnswer } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';
import { pathOf } from './paths.ts';
import type { Paging } from './settings.ts';

/** `url`: the whole address, as the header Link names it. */
export type Asked = { url?: string; query: Record<string, string | number> };

/** A list that never ends would fill the disk: 1,000,000 devices of 100 a page. */
const MAX_PAGES = 10_000;

/**
 * The cursor of a walk: where the page begins, how many pages and items came before, and the digest of an earlier page. It is the page whose number was
 * the last power of two, by which a list that goes round in a circle of any length is found (Brent's algorithm).
 */
type Position = { at: string; page: number; items: number; earlier: string };

const positionOf = (cursor: string | null): Position => {
  const [, page = '0', items = '0', earlier = '', at = ''] = /^(\d+) (\d+) (\w*) (.*)$/s.exec(cursor ?? '') ?? [];
  return { at, page: Number(page), items: Number(items), earlier };
};

/** The ids of a page's devices, and the number of all devices where the platform names it. */
type Content = { ids: readonly string[]; total: number | null };

/** Parameters of the request for a page. @param cursor null: the first one */
export function queryOf(paging: Paging, cursor: string | null): Asked {
  const { at } = positionOf(cursor);
  const sized = 'sizeParameter' in paging && paging.sizeParameter !== undefined ? { [paging.sizeParameter]: paging.size } : {};
  switch (paging.kind) {
    case 'none':
      return { query: {} };
    case 'page':
      return { query: { ...sized, [paging.parameter]: at === '' ? paging.first : Number(at) } };
    case 'offset':
      return { query: { ...sized, [paging.parameter]: at === '' ? 0 : Number(at) } };
    case 'cursor':
      return { query: at === '' ? sized : { ...sized, [paging.parameter]: at } };
    case 'link':
      return at === '' ? { query: sized } : { url: at, query: {} };
  }
}

/** @returns the cursor of the next page; null after the last one @throws Problem `integration_protocol` for a list that does not end */
export function nextOf(paging: Paging, cursor: string | null, { ids, total }: Content, answer: VendorAnswer): string | null {
  const { at, page, items, earlier } = positionOf(cursor);
  const seen = items + ids.length;
  const next = positionAfter(paging, at, { items: ids.length, isAll: total !== null && seen >= total }, answer);
  if (next === undefined) return null;
  const digest = digestOf(ids);
  if (next === at || (ids.length > 0 && digest === earlier))
    throw integrationProblem(
      'integration_protocol',
      `Cannot list the devices: the platform shows the same page again after page ${page + 1}`,
    );
  if (page + 1 >= MAX_PAGES)
    throw integrationProblem('integration_protocol', `Cannot list the devices: there are more than ${MAX_PAGES} pages`);
  const isPowerOfTwo = ((page + 1) & page) === 0;
  return `${page + 1} ${seen} ${isPowerOfTwo ? digest : earlier} ${next}`;
}

function digestOf(ids: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(ids)).digest('hex').slice(0, 32);
}

type Seen = { items: number; isAll: boolean };

function positionAfter(paging: Paging, at: string, { items, isAll }: Seen, answer: VendorAnswer): string | undefined {
  switch (paging.kind) {
    case 'none':
      return undefined;
    // A server may cap the size of a page, so that a short page is no end. Some answer 404 behind the last one: the total saves that request.
    case 'page':
      return items === 0 || isAll ? undefined : String((at === '' ? paging.first : Number(at)) + 1);
    case 'offset':
      return items === 0 || isAll ? undefined : String((at === '' ? 0 : Number(at)) + items);
    case 'cursor':
      return cursorIn(pathOf(paging.next).first(answer.body ?? null));
    case 'link':
      return paging.next === undefined ? linkIn(answer.headers.link) : cursorIn(pathOf(paging.next).first(answer.body ?? null));
  }
}

function cursorIn(value: Json | undefined): string | undefined {
  if (value === undefined || value === null || value === '' || value === false) return undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

/** The target of `rel="next"` in a header Link (RFC 8288). */
function linkIn(header: string | string[] | undefined): string | undefined {
  for (const [, target, parameters = ''] of String(header ?? '').matchAll(/<([^>]*)>((?:\s*;\s*[\w*-]+(?:=(?:"[^"]*"|[^\s",;]+))?)*)/g))
    if (/;\s*rel=(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next)(?:\s*;|\s*$)/i.test(parameters)) return target;
  return undefined;
}
