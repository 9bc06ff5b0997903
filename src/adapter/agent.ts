import type { PullAdapter } from './adapter.ts';

/** For devices with Bellwether's agent or another client of the agent protocol. */
export const agentAdapter: PullAdapter = { name: 'agent', delivery: 'pull' };
