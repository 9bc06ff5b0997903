import type { BundleManifest } from '../wire/bundle.ts';

/** How configuration reaches a device. One file per adapter and one line in the registry; nothing else knows a vendor. */
export type Adapter = PullAdapter | PushAdapter;

/** The device asks for its desired state by itself, over the agent protocol. */
export type PullAdapter = { readonly name: string; readonly delivery: 'pull' };

/** Bellwether brings the bundle to the device. */
export type PushAdapter = {
  readonly name: string;
  readonly delivery: 'push';
  /**
   * Brings one device to the bundle, or leaves it as it was. Idempotent: the same bundle again succeeds without a change.
   * @throws Problem; `retry: 'backoff'` when another try may succeed
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
