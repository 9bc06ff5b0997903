import { randomUUID } from 'node:crypto';
import type { Report } from '../src/wire/agent.ts';
import { sha256Hex } from '../src/wire/bundle.ts';
import { isNoSpace } from '../src/wire/no-space.ts';
import { AGENT_VERSION, type Agent } from './context.ts';
import type { Attempt } from './deploy/state.ts';
import { describeDiskTrouble, isDiskTrouble } from './disk/disk-trouble.ts';
import { runningDigest } from './disk/release.ts';
import type { Level } from './log.ts';

type DeploymentReport = Extract<Report, { kind: 'deployment' }>;

/** The same step of the same try always has the same id, also when the agent repeats the step after a power cut. */
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
    ...(why.detail === undefined ? {} : { detail: why.detail.slice(-4000).toWellFormed() }),
  };
}

export function deferredReport(agent: Agent, deploymentId: string, until: Date, reason: string): Report {
  return {
    id: randomUUID(),
    at: now(agent),
    kind: 'deferred',
    deploymentId,
    until: until.toISOString(),
    ...(reason === '' ? {} : { reason }),
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

export function logReport(agent: Agent, level: Level, message: string, deploymentId?: string): Report {
  return {
    id: randomUUID(),
    at: now(agent),
    kind: 'log',
    level,
    message: message.slice(0, 4000).toWellFormed(),
    ...(deploymentId === undefined ? {} : { deploymentId }),
  };
}

const DISK_TROUBLE_EVERY_MS = 600_000;
const reportedTrouble = new WeakMap<Agent, { atMs: number; message: string }>();

/**
 * Reports a disk fault: a new one at once, the same one every ten minutes. It remembers the last one in memory, because the disk cannot be
 * written.
 */
export async function reportDiskTrouble(agent: Agent, error: unknown): Promise<void> {
  if (!isDiskTrouble(error)) return;
  const message = await describeDiskTrouble(error);
  const last = reportedTrouble.get(agent);
  const isKnown = last !== undefined && (isNoSpace(error) || last.message === message);
  if (isKnown && performance.now() - last.atMs < DISK_TROUBLE_EVERY_MS) return;
  reportedTrouble.set(agent, { atMs: performance.now(), message });
  await agent.outbox.add([logReport(agent, 'error', message)]);
}

/** Reports the entries that the agent set aside since the last call. */
export async function reportNotices(agent: Agent): Promise<void> {
  const notices = agent.root.notices.splice(0);
  await agent.outbox.add(notices.map((notice) => logReport(agent, 'warn', notice)));
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
