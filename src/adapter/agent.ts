import type { PullAdapter } from './adapter.ts';

/** Devices that run an agent of ours, or another client of the agent protocol. */
export const agentAdapter: PullAdapter = { name: 'agent', delivery: 'pull' };
