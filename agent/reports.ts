import { randomUUID } from 'node:crypto';
import type { Report } from '../src/wire/agent.ts';
import { sha256Hex } from '../src/wire/bundle.ts';
import { AGENT_VERSION, type Agent } from './context.ts';
import { runningDigest } from './release.ts';
import type { Attempt } from './state.ts';

type DeploymentReport = Extract<Report, { kind: 'deployment' }>;

/** The same step of the same try has the same id, however often a power cut makes the agent take it. */
export async function deploymentReport(
  agent: Agent,
  attempt: Pick<Attempt, 'deploymentId' | 'number'>,
  state: DeploymentReport['state'],
  why: { code?: string; detail?: string } = {},
): Promise<DeploymentReport> {
  return {
    id: stableId('deployment', attempt.deploymentId, String(attempt.number), state),
    at: now(agent),
    kind: 'deployment',
    deploymentId: attempt.deploymentId,
    state,
    runningDigest: await runningDigest(agent.root),
    ...(why.code === undefined ? {} : { code: why.code }),
    ...(why.detail === undefined ? {} : { detail: why.detail.slice(-4000) }),
  };
}

export function commandReport(agent: Agent, commandId: string, state: 'sent' | 'completed' | 'failed', result?: unknown): Report {
  return {
    id: stableId('command', commandId, state),
    at: now(agent),
    kind: 'command',
    commandId,
    state,
    ...(result === undefined ? {} : { result }),
  };
}

export function driftReport(agent: Agent, runningDigest: string, changed: string[], healed: boolean): Report {
  return { id: randomUUID(), at: now(agent), kind: 'drift', runningDigest, changed: changed.slice(0, 1000), healed };
}

export async function heartbeatReport(agent: Agent): Promise<Report> {
  const { sequence, quarantined } = agent.journal.state;
  return {
    id: randomUUID(),
    at: now(agent),
    kind: 'heartbeat',
    runningDigest: await runningDigest(agent.root),
    sequence: Math.max(0, sequence),
    agentVersion: AGENT_VERSION,
    quarantined: quarantined.slice(-16),
  };
}

export function telemetryReport(agent: Agent, metrics: Record<string, number>): Report {
  return { id: randomUUID(), at: now(agent), kind: 'telemetry', metrics };
}

export function logReport(agent: Agent, level: Extract<Report, { kind: 'log' }>['level'], message: string): Report {
  return { id: randomUUID(), at: now(agent), kind: 'log', level, message: message.slice(0, 4000) };
}

function now(agent: Agent): string {
  return agent.clock.now().toISOString();
}

/** A UUID of version 8 (RFC 9562: contents are the maker's own) from a hash. */
function stableId(...parts: string[]): string {
  const hex = sha256Hex(parts.join('\n'));
  const variant = '89ab'[Number.parseInt(hex.charAt(16), 16) % 4] ?? '8';
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
