import type { Json } from '../../../wire/text/json.ts';
import type { VendorAnswer } from '../../api.ts';
import { integrationProblem } from '../../problems.ts';
import { pathOf } from './paths.ts';
import type { Paging } from './settings.ts';

/** `url`: the whole address, as the header Link names it. */
export type Asked = { url?: string; query: Record<string, string | number> };

/** A list that never ends would fill the disk: 1,000,000 devices of 100 a page. */
const MAX_PAGES = 10_000;

/** The cursor of a walk: the position, and how many pages came before. */
type Position = { at: string; page: number };

const positionOf = (cursor: string | null): Position => {
  if (cursor === null) return { at: '', page: 0 };
  const split = cursor.indexOf(' ');
  return { page: Number(cursor.slice(0, split)), at: cursor.slice(split + 1) };
};

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
export function nextOf(paging: Paging, cursor: string | null, items: number, answer: VendorAnswer): string | null {
  const { at, page } = positionOf(cursor);
  const next = positionAfter(paging, at, items, answer);
  if (next === undefined) return null;
  if (next === at || page + 1 >= MAX_PAGES)
    throw integrationProblem(
      'integration_protocol',
      next === at
        ? 'Cannot list the devices: the platform names the same page again'
        : `Cannot list the devices: there are more than ${MAX_PAGES} pages`,
    );
  return `${page + 1} ${next}`;
}

function positionAfter(paging: Paging, at: string, items: number, answer: VendorAnswer): string | undefined {
  switch (paging.kind) {
    case 'none':
      return undefined;
    case 'page':
      // A server may cap the size of a page, so that only an empty one is the end.
      return items === 0 ? undefined : String((at === '' ? paging.first : Number(at)) + 1);
    case 'offset':
      return items === 0 ? undefined : String((at === '' ? 0 : Number(at)) + items);
    case 'cursor':
      return cursorIn(pathOf(paging.next).first(answer.body ?? null));
    case 'link':
      return linkIn(answer.headers.link);
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
