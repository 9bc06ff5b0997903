import { natural, oneOf, searchOf, text } from '../../app/search.ts';

export const SourceSearch = searchOf({
  tab: oneOf(['summary', 'revisions', 'webhook', 'merge-requests', 'settings']),
  revision: text,
  ref: text,
  file: text,
  line: natural,
});
