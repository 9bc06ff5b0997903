import type { Adapters } from '../src/adapter/registry.ts';
import type { Config } from '../src/config.ts';
import type { Store } from '../src/db/transact.ts';
import type { AddressGuard } from '../src/git/address-guard.ts';
import type { GitHosts } from '../src/git/hosts.ts';
import type { Metrics } from '../src/http/metrics.ts';
import type { Log } from '../src/log.ts';
import type { Preparer } from '../src/revision/preparer.ts';
import type { SecretBox } from '../src/secret-box.ts';
import type { Workspaces } from '../src/workspace/workspace.ts';

/** What reconcilers and sweeps work with. */
export type Controller = {
  store: Store;
  config: Config;
  log: Log;
  box: SecretBox;
  hosts: GitHosts;
  guard: AddressGuard;
  preparer: Preparer;
  workspaces: Workspaces;
  metrics: Metrics;
  adapters: Adapters;
};
