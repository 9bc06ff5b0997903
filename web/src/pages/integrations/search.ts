import { oneOf, searchOf, text } from '../../app/search.ts';

export const IntegrationSearch = searchOf({
  tab: oneOf(['summary', 'conflicts', 'history', 'devices', 'settings']),
  run: text,
  state: oneOf(['open', 'resolved', 'obsolete']),
});
