import { oneOf, searchOf, text } from '../../app/search.ts';

export const DEVICE_TABS = ['summary', 'files', 'history', 'backups', 'telemetry', 'commands', 'log', 'vendor', 'preview'] as const;

export const DeviceSearch = searchOf({
  tab: oneOf(DEVICE_TABS),
  /** A file, a deployment, a vendor view: what the tab shows. */
  at: text,
  ref: text,
  view: oneOf(['unified', 'split']),
  level: oneOf(['debug', 'info', 'warn', 'error']),
  q: text,
  range: oneOf(['1h', '6h', '24h', '7d', '30d']),
});
