import { oneOf, searchOf, text } from '../../app/search.ts';

/** `add`: the kind of platform that is added; `choose` asks for it. */
export const IntegrationsSearch = searchOf({ add: text });

export const INTEGRATION_TABS = ['summary', 'conflicts', 'history', 'devices', 'settings'] as const;

export const IntegrationSearch = searchOf({
  tab: oneOf(INTEGRATION_TABS),
  run: text,
  state: oneOf(['open', 'resolved', 'obsolete']),
  /** The conflict that is shown whole. */
  at: text,
});
