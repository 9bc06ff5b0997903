import type { Services } from '../src/api/services.ts';

/** The services of the process that reconcilers and chores use. */
export type Controller = Pick<
  Services,
  | 'store'
  | 'admission'
  | 'config'
  | 'log'
  | 'box'
  | 'hosts'
  | 'forgeHosts'
  | 'guard'
  | 'preparer'
  | 'workspaces'
  | 'metrics'
  | 'adapters'
  | 'leases'
  | 'notifier'
  | 'sender'
  | 'platforms'
  | 'publicUrl'
>;
