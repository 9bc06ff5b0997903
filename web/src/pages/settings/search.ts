import { flag, oneOf, searchOf, text } from '../../app/search.ts';

export const SETTINGS_TABS = ['appearance', 'sites', 'tokens', 'enrolment', 'notifications', 'integrations'] as const;

/** `new`: the form of a new one is open; `at`: the notification whose deliveries are shown. */
export const SettingsSearch = searchOf({ tab: oneOf(SETTINGS_TABS), new: flag, at: text });
