import { oneOf, searchOf, text } from '../../app/search.ts';

export const SettingsSearch = searchOf({
  tab: oneOf(['appearance', 'sites', 'tokens', 'enrolment', 'notifications', 'integrations']),
  at: text,
});
