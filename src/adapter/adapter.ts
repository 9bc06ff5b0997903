import type { BundleManifest } from '../wire/bundle.ts';

/** The way in which configuration reaches a device. Each adapter is one file and one line in the registry; no other code knows a vendor. */
export type Adapter = PullAdapter | PushAdapter;

/** The device requests its desired state over the agent protocol. */
export type PullAdapter = { readonly name: string; readonly delivery: 'pull' };

/** The service delivers the bundle to the device. */
export type PushAdapter = {
  readonly name: string;
  readonly delivery: 'push';
  /**
   * Delivers the bundle to one device completely, or leaves the device unchanged. Idempotent: the same bundle again succeeds without a change.
   * @throws Problem; `retry: 'backoff'` if another attempt may succeed
   */
  deliver(request: Delivery): Promise<void>;
};

export type Delivery = {
  organizationId: string;
  deviceId: string;
  digest: string;
  manifest: BundleManifest;
  readFile(sha256: string): Promise<Uint8Array>;
  /** Aborts at the attempt's deadline and when the service stops. */
  signal: AbortSignal;
};
