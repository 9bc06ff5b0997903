import type { Adapters } from '../adapter/registry.ts';
import type { Archives } from '../bundle/archives.ts';
import type { Config } from '../config.ts';
import type { SecretBox } from '../crypto/secret-box.ts';
import type { Availability } from '../db/availability.ts';
import type { Notifier } from '../db/notifier.ts';
import type { Admission } from '../delivery/admission.ts';
import type { Wakeups } from '../delivery/wakeups.ts';
import type { EventBuffer } from '../event/buffer.ts';
import type { Store } from '../event/transact.ts';
import type { GitHosts } from '../git/hosts.ts';
import type { AddressGuard } from '../git/http/address-guard.ts';
import type { RateLimits } from '../http/rate-limit.ts';
import type { Log } from '../log.ts';
import type { Sender } from '../notification/delivery/send.ts';
import type { Signer } from '../organization/signing.ts';
import type { Preparer } from '../prepare/preparer.ts';
import type { ReportIntake } from '../report/intake.ts';
import type { Workspaces } from '../workspace/workspace.ts';
import type { DeviceAuth, TokenAuth } from './auth.ts';
import type { Metrics } from './metrics.ts';

/** What routes work with. */
export type Services = {
  store: Store;
  database: Availability;
  notifier: Notifier;
  config: Config;
  log: Log;
  box: SecretBox;
  hosts: GitHosts;
  /** For their APIs, which may be down while Git is served, and the other way round. */
  forgeHosts: GitHosts;
  guard: AddressGuard;
  preparer: Preparer;
  workspaces: Workspaces;
  metrics: Metrics;
  limits: RateLimits;
  signer: Signer;
  wakeups: Wakeups;
  admission: Admission;
  tokenAuth: TokenAuth;
  /** SHA-256 of the token that makes organizations. */
  rootTokenHash: Buffer;
  deviceAuth: DeviceAuth;
  intake: ReportIntake;
  events: EventBuffer;
  archives: Archives;
  adapters: Adapters;
  sender: Sender;
  /** Where devices and git hosts reach the service, without a slash at the end. */
  publicUrl(): string;
};
