import { oneOf, searchOf, text } from '../../app/search.ts';

export const ActivitySearch = searchOf({
  tab: oneOf(['events', 'audit']),
  type: text,
  subject: text,
  actor: text,
  action: text,
  after: text,
  before: text,
  /** The row whose details are shown. */
  at: text,
});
export type ActivitySearch = ReturnType<typeof ActivitySearch>;
