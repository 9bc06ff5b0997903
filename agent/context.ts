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

/** What the parts of a running agent share. */
export type Agent = {
  config: AgentConfig;
  root: Root;
  identity: Identity;
  server: AgentServer;
  journal: Journal;
  outbox: Outbox;
  /** Time as the server means it: expiry and reports. */
  clock: DeviceClock;
  /** The device's own clock, for what is compared on this device alone. */
  system: Clock;
  log: Log;
  fault: Fault;
  /** Whoever changes `current` takes a turn: applying, and repairing what was tampered with. */
  exclusive: Turn;
  /** Ends the pause before the next poll, or the poll itself. */
  pollNow: Bell;
  /** Asks for a comparison of the running files with their manifest; rung when another release runs. */
  lookAtFiles: Bell;
};

export const AGENT_VERSION = '0.1.0';
