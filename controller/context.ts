import type { Services } from '../src/api/services.ts';

/** What reconcilers and sweeps work with: of the process's services, those that are about what happens over time. */
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
  | 'notifier'
  | 'sender'
  | 'publicUrl'
>;
