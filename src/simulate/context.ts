import type { DeviceDeploymentState } from '../wire/agent.ts';
import type { Behaviour, Content } from './behaviour.ts';
import type { Line } from './line.ts';
import type { Pinned, Trust } from './trust.ts';

export type DeviceKey = { id: string; apiKey: string };

/** What became of a simulated device. A `deployment` step is told once the service has taken the report of it. */
export type SimulationEvent =
  /** Its first poll was answered. */
  | { kind: 'ready'; deviceId: string }
  | { kind: 'deployment'; deviceId: string; deploymentId: string; state: DeviceDeploymentState; code?: string | undefined }
  /** It went away, or came back. */
  | { kind: 'presence'; deviceId: string; state: 'away' | 'back' }
  /** A request failed; it is made again after a while. */
  | { kind: 'trouble'; deviceId: string; problem: string };

/** What a device runs. `isUpdated`: it came by an attempt, and not by going back to what ran before. */
export type Running = { digest: string; content: Content; isUpdated: boolean };

/** The attempt that the device began last. */
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
  /** What ran before the last update: to come to it is to go back. */
  before: string | null;
  quarantined: string[];
  attempt: Attempt | null;
  /** Attempts and commands that are done with. */
  finished: string | null;
  obeyed: ReadonlySet<string>;
  heartbeatMs: number;
  ready: boolean;
};
