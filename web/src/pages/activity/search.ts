import { oneOf, searchOf, text } from '../../app/search.ts';

export const ActivitySearch = searchOf({ tab: oneOf(['events', 'audit']), type: text, subject: text, after: text, before: text });
