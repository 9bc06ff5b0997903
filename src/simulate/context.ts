import type { DeviceDeploymentState } from '../wire/agent.ts';
import type { Behaviour, Content } from './behaviour.ts';
import type { Line } from './line.ts';
import type { Pinned, Trust } from './trust.ts';

export type DeviceKey = { id: string; apiKey: string };

/** An event of a simulated device. A `deployment` event follows the service's acceptance of its report. */
export type SimulationEvent =
  /** The service answered the device's first poll. */
  | { kind: 'ready'; deviceId: string }
  | { kind: 'deployment'; deviceId: string; deploymentId: string; state: DeviceDeploymentState; code?: string | undefined }
  /** The device disconnected, or reconnected. */
  | { kind: 'presence'; deviceId: string; state: 'away' | 'back' }
  /** A request failed, and the device retries it later. */
  | { kind: 'trouble'; deviceId: string; problem: string };

/** The bundle on a device. `isUpdated`: an attempt deployed it, and no rollback. */
export type Running = { digest: string; content: Content; isUpdated: boolean };

/** The device's last attempt. */
export type Attempt = { deploymentId: string; number: number; before: Running | null };

/** One simulated device. */
export type Device = {
  id: string;
  behaviour: Behaviour;
  trust: Trust;
  line: Line;
  signal: AbortSignal;
  onState(event: SimulationEvent): void;
  pinned: Pinned | null;
  etag: string | undefined;
  sequence: number;
  running: Running | null;
  /** The bundle before the last update. An attempt with it is a rollback. */
  before: string | null;
  quarantined: string[];
  attempt: Attempt | null;
  /** The last finished attempt, and the finished commands. */
  finished: string | null;
  handledCommands: ReadonlySet<string>;
  heartbeatMs: number;
  ready: boolean;
};
