/** Addresses that the service and its clients share. Without schemas, so that the dashboard loads none. */

/** The Socket.IO namespace of live updates. */
export const LIVE_NAMESPACE = '/live';

/** First segments of the dashboard's pages; '' is the overview. The service answers them with the dashboard's document, the dashboard routes them. */
export const DASHBOARD_PAGES = ['', 'devices', 'rollouts', 'sources', 'integrations', 'activity', 'settings', 'login'] as const;
