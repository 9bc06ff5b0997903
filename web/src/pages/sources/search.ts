import { flag, natural, oneOf, searchOf, text } from '../../app/search.ts';

export const SOURCE_TABS = ['summary', 'revisions', 'webhook', 'merge-requests', 'settings'] as const;

/** `new`: the form of a new source is open. */
export const SourcesSearch = searchOf({ new: flag });

export const SourceSearch = searchOf({
  tab: oneOf(SOURCE_TABS),
  revision: text,
  ref: text,
  file: text,
  line: natural,
});
export type SourceSearch = ReturnType<typeof SourceSearch>;
