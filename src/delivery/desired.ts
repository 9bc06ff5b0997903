import type { DeviceKey } from '../device/device.ts';
import type { AgentCommand, DesiredState } from '../wire/agent.ts';
import { sha256Hex } from '../wire/bundle.ts';

/** Desired bundle and commands of one device, before signing. */
export type Desired = DeviceKey & {
  sequence: number;
  sourceId: string | null;
  deploymentId: string | null;
  bundle: { digest: string; size: number } | null;
  /** Until when the device may defer the attempt. */
  beginBefore: Date | null;
  force: boolean;
  driftPolicy: 'heal' | 'report';
  commands: AgentCommand[];
  /** The device is online and its last report is recent. */
  hasRecentReport: boolean;
  heartbeatSeconds: number;
};

/** How long an agent may apply a signed desired state. After that it must poll again. */
const VALID_SECONDS = 15 * 60;

/** Changes exactly when the device's desired state changes. */
export function desiredEtag(desired: Desired): string {
  const commands = desired.commands.length === 0 ? '0' : sha256Hex(desired.commands.map((command) => command.id).join()).slice(0, 12);
  return `"${desired.sequence}-${commands}-${desired.driftPolicy}"`;
}

export function desiredPayload(desired: Desired, now: Date): DesiredState {
  return {
    deviceId: desired.deviceId,
    organizationId: desired.organizationId,
    sequence: desired.sequence,
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + VALID_SECONDS * 1000).toISOString(),
    deploymentId: desired.deploymentId,
    bundle: desired.bundle === null ? null : { ...desired.bundle, url: `bundles/${desired.bundle.digest}` },
    beginBefore: desired.beginBefore?.toISOString() ?? null,
    force: desired.force,
    driftPolicy: desired.driftPolicy,
    commands: desired.commands,
    pollAfterSeconds: 0,
    heartbeatSeconds: desired.heartbeatSeconds,
  };
}
