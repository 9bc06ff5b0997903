import type { AgentConfig } from './config.ts';
import type { Journal } from './deploy/state.ts';
import type { Root } from './disk/root.ts';
import type { Fault } from './faults.ts';
import type { Log } from './log.ts';
import type { Identity } from './server/identity.ts';
import type { Outbox } from './server/outbox.ts';
import type { AgentServer } from './server/server.ts';
import type { Clock, DeviceClock } from './time/clock.ts';
import type { Bell, Turn } from './time/signals.ts';

/** The parts of a running agent, which its modules share. */
export type Agent = {
  config: AgentConfig;
  root: Root;
  identity: Identity;
  server: AgentServer;
  journal: Journal;
  outbox: Outbox;
  /** The server's time, for expiry and reports. */
  clock: DeviceClock;
  /** The device's own clock, for times that are compared on this device only. */
  system: Clock;
  log: Log;
  fault: Fault;
  /** Serialises changes of `current`: deployments, and repairs of drift. */
  exclusive: Turn;
  /** Ends the pause before the next poll, or the poll itself. */
  pollNow: Bell;
  /** Triggers a comparison of the running files with their manifest. It rings when another release runs. */
  checkFiles: Bell;
};

export const AGENT_VERSION = '0.1.0';
