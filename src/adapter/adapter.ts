import type { PreparedPush, Verification } from '../integration/provider.ts';
import type { BundleManifest } from '../wire/bundle.ts';
import type { Json } from '../wire/text/json.ts';

/** The way in which configuration reaches a device. Each adapter is one file and one line in the registry; no other code knows a vendor. */
export type Adapter = PullAdapter | PushAdapter;

/** The device requests its desired state over the agent protocol. */
export type PullAdapter = { readonly name: string; readonly delivery: 'pull' };

/** The service brings the bundle to the device, step by step. */
export type PushAdapter = {
  readonly name: string;
  readonly delivery: 'push';
  /** A finished delivery proves that the device is online. False where a sync with the platform decides that. */
  readonly provesContact: boolean;
  /** Devices are reached through an integration of the adapter's name. */
  readonly needsAssignment: boolean;
  /** Runner of commands: the device itself, which polls for them, or its platform. `none`: its platform runs none. */
  readonly commands: 'device' | 'platform' | 'none';
  /**
   * Sends nothing yet. The caller closes it.
   * @throws Problem `integration_unassigned`, `integration_blocked`, `integration_disabled`
   */
  open(delivery: Delivery): Promise<OpenedPush>;
};

export type Delivery = {
  organizationId: string;
  deviceId: string;
  /** The bundle to deliver. */
  digest: string;
  /** The device's last good bundle. */
  previous: string | null;
  /** The device at its platform; null for adapters without a platform, and for devices without an assignment. */
  place: { integrationId: string; externalId: string } | null;
  /** @throws Problem `bundle_missing` */
  loadBundle(digest: string): Promise<Bundle>;
};

export type Bundle = { manifest: BundleManifest; readFile(sha256: string): Promise<Uint8Array> };

/** The steps of `Push` in `integration/provider.ts`, bound to one device and bundle. */
export type OpenedPush = {
  prepare(signal: AbortSignal): Promise<PreparedPush>;
  apply(prepared: PreparedPush, token: string, signal: AbortSignal): Promise<Json>;
  verify(prepared: PreparedPush, receipt: Json, token: string, signal: AbortSignal): Promise<Verification>;
  confirm?(prepared: PreparedPush, receipt: Json, signal: AbortSignal): Promise<void>;
  cancel(prepared: PreparedPush, receipt: Json | null, signal: AbortSignal): Promise<void>;
  close(): void;
};
