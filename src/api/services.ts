import type { Leases } from '../adapter/leases.ts';
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
import type { PlatformDeps } from '../integration/open.ts';
import type { Log } from '../log.ts';
import type { Sender } from '../notification/delivery/send.ts';
import type { Signer } from '../organization/signing.ts';
import type { Preparer } from '../prepare/preparer.ts';
import type { ReportIntake } from '../report/intake.ts';
import type { IdentityProvider } from '../session/identity-provider.ts';
import type { Workspaces } from '../workspace/workspace.ts';
import type { DeviceAuth } from './auth.ts';
import type { Metrics } from './metrics.ts';
import type { OperatorAuth } from './operator-auth.ts';

/** The parts of the open service. Each group of routes takes the few that it needs. */
export type Services = {
  store: Store;
  database: Availability;
  notifier: Notifier;
  config: Config;
  log: Log;
  box: SecretBox;
  hosts: GitHosts;
  /** Slots for the hosts' APIs: an API may be down while Git is served, and the other way round. */
  forgeHosts: GitHosts;
  guard: AddressGuard;
  preparer: Preparer;
  workspaces: Workspaces;
  metrics: Metrics;
  limits: RateLimits;
  signer: Signer;
  wakeups: Wakeups;
  admission: Admission;
  operatorAuth: OperatorAuth;
  /** The issuer of the identity provider; null: the service has none. */
  issuer: string | null;
  identityProvider: IdentityProvider | null;
  /** SHA-256 of the token that creates organizations. */
  rootTokenHash: Buffer;
  deviceAuth: DeviceAuth;
  intake: ReportIntake;
  events: EventBuffer;
  archives: Archives;
  adapters: Adapters;
  /** Platforms that stay open between deliveries. */
  leases: Leases;
  sender: Sender;
  /** Opens the platforms of integrations, each within its own limits. */
  platforms: PlatformDeps;
  /** The address of the service for devices and git hosts, without a slash at the end. */
  publicUrl(): string;
};
